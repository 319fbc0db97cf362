//! Tests of the lock table: golden scripts, and random schedules against a list of locks that is compared pair by pair.

mod cost;
mod oracle;
mod script;
