//! Evaluation of bound expressions, one row at a time; both engines call it.

pub mod session;

pub use session::SessionView;
