//! Tests over tables in memory.

mod engines;
pub(crate) mod memory;
mod plans;
