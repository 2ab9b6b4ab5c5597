//! What process 1 of a sandbox is told, from the launch and its image.

use palisade_image::Image;
use palisade_init_protocol::config::{Config, Limits};
use palisade_init_protocol::text::{
    AbsolutePath, Command, Invalid, SignalNumber, UserName, Variable,
};
use palisade_model::sandbox::Launch;
use palisade_model::secret::SecretValues;

/// Why a sandbox cannot run its image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("image {image} has no command of its own; give one")]
    NoCommand { image: String },
    #[error("image {image} is to be stopped by signal {number}, which is not supported")]
    StopSignal { image: String, number: u8 },
    #[error("a part of the launch cannot be passed on")]
    Invalid(#[from] Invalid),
}

/// Makes the configuration of process 1.
pub(crate) fn of(
    launch: &Launch,
    image: &Image,
    secrets: &SecretValues,
) -> Result<Config, ConfigError> {
    Ok(Config {
        command: command(launch, image)?,
        environment: environment(launch, image, secrets)?,
        directory: AbsolutePath::new(image.config.working_dir.clone())?,
        user: UserName::new(image.config.user.clone())?,
        stop_signal: stop_signal(launch, image)?,
        limits: Limits::DEFAULT,
    })
}

fn command(launch: &Launch, image: &Image) -> Result<Command, ConfigError> {
    let words = if launch.workload.command.is_empty() {
        let own = image.config.entrypoint.iter().chain(&image.config.cmd);
        own.cloned().collect()
    } else {
        launch.workload.command.clone()
    };
    match Command::new(words) {
        Err(Invalid::NoCommand) => Err(ConfigError::NoCommand {
            image: launch.workload.image.to_string(),
        }),
        other => Ok(other?),
    }
}

/// Of one name the last counts: what the image says, what the caller says, and
/// secrets.
fn environment(
    launch: &Launch,
    image: &Image,
    secrets: &SecretValues,
) -> Result<Vec<Variable>, Invalid> {
    let own = image.config.env.iter().cloned();
    let asked = launch.workload.environment.clone().into_iter();
    let secrets = secrets.iter().filter_map(|(name, value)| {
        // What no variable can hold was refused before.
        Some((name.to_owned(), value.as_variable()?.to_owned()))
    });
    own.chain(asked)
        .chain(secrets)
        .map(|(name, value)| Variable::new(name, value))
        .collect()
}

fn stop_signal(launch: &Launch, image: &Image) -> Result<SignalNumber, ConfigError> {
    let Some(signal) = image.config.stop_signal else {
        return Ok(SignalNumber::TERM);
    };
    let number = signal.number();
    SignalNumber::new(number.into()).map_err(|_| ConfigError::StopSignal {
        image: launch.workload.image.to_string(),
        number,
    })
}
