//! Wire: the PostgreSQL v3 protocol as bytes, without sockets or sessions.
//!
//! ```text
//!   socket ──► frame (tag, length, body) ──► message (checked fields)      frame.rs, message.rs, startup.rs
//!   socket ◄── one buffer of backend messages ◄── rows, tags, errors       output.rs, report.rs
//! ```
//!
//! Why not pgwire's own server loop: its handler traits own the transaction status, answer a portal's row limit only after
//! the whole result, and its body decoders index past the end of short messages (a panic) and replace invalid UTF-8 instead
//! of refusing it. So decoding is ours and total — every byte sequence is a message or an error — while pgwire's message
//! types encode everything the server says that is not on the path of every row, and its SCRAM core does authentication.
//!
//! Invariants
//!  W1  No input panics: [`body::Body`] checks every length before it reads.
//!  W2  A frame is bounded before its memory is taken; before authentication the bound is [`frame::STARTUP_SIZE_MAX`].
//!  W3  What is in the output buffer is whole messages, so an error message may follow at any statement boundary.

pub mod body;
pub mod frame;
pub mod message;
pub mod output;
pub mod report;
pub mod startup;

pub use body::Body;
pub use frame::{Frame, FrameError};
pub use message::{Bind, Message, Parse, Target};
pub use output::Output;
