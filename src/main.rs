//! The `moin` binary.

fn main() {}
