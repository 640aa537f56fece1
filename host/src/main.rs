//! The program `pagebox`: page files from the command line.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
