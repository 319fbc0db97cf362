//! Tests of the reconciler: golden scripts, and a simulation with random faults.

mod script;
mod simulation;
mod world;
