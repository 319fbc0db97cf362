//! Tests of atomic commit: golden scripts for message orders and crash points, and random schedules with loss, repetition,
//! reordering and crashes.

mod script;
mod simulation;
mod world;
