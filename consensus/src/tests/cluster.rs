//! Three replicas in one process.
