//! The `glacierfs` program: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    glacierfs::cli::run(std::env::args_os()).into()
}
