//! The program, not yet begun.
fn main() {}
