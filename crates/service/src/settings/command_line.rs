//! Settings as clap reads them, from options and environment variables.

use clap::{
    Command, Error, Parser,
    error::{ContextKind, ContextValue},
};

/// Reads the command line and the environment, or ends the process with a message.
///
/// clap names a setting by its option alone, also when the value came from the environment, where most are set: so the
/// message also names the variable.
pub fn command_line<T: Parser>() -> T {
    T::try_parse().unwrap_or_else(|error| with_variable(error, T::command()).exit())
}

fn with_variable(mut error: Error, mut command: Command) -> Error {
    // An option is written out only once its command is complete.
    command.build();
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    if let Some(variable) = variable(&command, option) {
        let both = format!("{option}' or '{variable}");
        error.insert(ContextKind::InvalidArg, ContextValue::String(both));
    }
    error
}

/// The variable of an option, as clap writes the option in errors: `--listen <LISTEN>`.
fn variable(command: &Command, option: &str) -> Option<String> {
    let own = command
        .get_arguments()
        .find(|argument| argument.to_string() == option);
    match own {
        Some(argument) => Some(argument.get_env()?.to_str()?.to_owned()),
        None => command
            .get_subcommands()
            .find_map(|command| variable(command, option)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[arg(long, env = "SOME_PORT_OF_A_TEST", default_value_t = 1)]
        port: u16,
        #[arg(long)]
        plain: Option<u16>,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Sub {
        Run {
            #[arg(long, env = "SOME_PACE_OF_A_TEST", default_value_t = 1)]
            pace: u16,
        },
    }

    #[test]
    fn error_names_option_and_variable() {
        let message = |arguments: &[&str]| {
            let arguments = std::iter::once(&"program").chain(arguments);
            let error = Program::try_parse_from(arguments).unwrap_err();
            with_variable(error, Program::command()).to_string()
        };
        let cases = [
            (
                &["--port", "x"][..],
                "'--port <PORT>' or 'SOME_PORT_OF_A_TEST': invalid digit",
            ),
            (
                &["run", "--pace", "x"],
                "'--pace <PACE>' or 'SOME_PACE_OF_A_TEST': invalid digit",
            ),
            (&["--plain", "x"], "'--plain <PLAIN>': invalid digit"),
            (&["--nonsense"], "'--nonsense' found"),
        ];
        for (arguments, expected) in cases {
            let text = message(arguments);
            assert!(text.contains(expected), "{text}");
        }
    }
}
