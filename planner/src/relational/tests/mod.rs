//! Tests over tables in memory.

mod memory;
mod plans;
