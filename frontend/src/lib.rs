//! Frontend: from a client's bytes to the planner and back.
//!
//! ```text
//!   wire        the protocol as bytes: frames, messages, one output buffer         (pure)
//!   copy        COPY's three formats                                               (pure)
//!   session     what statements mean: blocks, settings, prepared statements, cursors
//!   connection  a client's socket: startup, authentication, both query protocols
//!   server      listeners, TLS, HTTP pages, shutdown
//! ```

// As in the planner: a connection's future nests down to the shards.
#![recursion_limit = "256"]

pub mod connection;
pub mod copy;
pub mod server;
pub mod session;
pub mod wire;
