//! sqllogictest
