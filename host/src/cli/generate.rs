//! `pagebox completions` and `pagebox man`: both come out of the definitions
//! of the command line.

use std::io::Write;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use super::{Cli, Outcome, Output};

/// Print the completions for a shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox completions bash > ~/.local/share/bash-completion/completions/pagebox
  pagebox completions fish > ~/.config/fish/completions/pagebox.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        // It panics where it cannot write, so it writes to memory.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "pagebox", &mut script);
        output.write_all(&script)?;
        Ok(())
    }
}

/// Print the manual page, or that of a command
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox man | man -l -
  pagebox man check > pagebox-check.1")]
pub(crate) struct Man {
    /// A command
    command: Option<String>,
}

impl Man {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let mut program = Cli::command();
        program.build();
        let page = match &self.command {
            None => Page::new(program),
            Some(name) => match program.find_subcommand(name) {
                Some(command) => Page::new(command.clone()),
                None => program
                    .error(
                        ErrorKind::InvalidValue,
                        format!("there is no command '{name}'"),
                    )
                    .exit(),
            },
        };
        page.render(output)?;
        Ok(())
    }
}
