//! Placeholder replaced by the first storage slice.
