//! Tests over tables in memory.

mod engines;
mod memory;
mod plans;
