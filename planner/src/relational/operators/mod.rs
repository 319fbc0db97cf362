//! Row operators: every relational operation, exactly as PostgreSQL defines it, over batches of rows.

pub mod aggregate;
pub mod append;
pub mod cte;
pub mod dependent_join;
pub mod distinct;
pub mod filter;
pub mod frame;
pub mod hash_join;
pub mod limit;
pub mod lock_rows;
pub mod modify;
pub mod nested_loop;
pub mod project;
pub mod project_set;
pub mod recursive;
pub mod scan;
pub mod set_operation;
pub mod sort;
pub mod spool;
pub mod system_scan;
pub mod values;
pub mod window;
