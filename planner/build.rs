//! Golden scripts are read when tests are compiled: a new one must cause a new build.

fn main() {
    println!("cargo::rerun-if-changed=src/testscripts");
}
