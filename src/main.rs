//! The `moin` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    moin::cli::main()
}
