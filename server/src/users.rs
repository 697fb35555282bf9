//! Administers users, in whichever store they are: what `lobbyd user` does.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lobbyd_core::name::UserName;
use lobbyd_net::redis::KeyPattern;
use unicode_width::UnicodeWidthStr;

use crate::control::SOCKET_NAME;
use crate::control::client::ControlClient;
use crate::prompt;
use crate::stores::directory::{NewUser, Nickname, Password, UserDirectory, UserEntry};
use crate::stores::embedded::{EmbeddedAccounts, OpenError};
use crate::stores::hasher::HashParameters;
use crate::stores::hashing::HashPool;
use crate::stores::redis_users::RedisUsers;

/// How long a store that another process has open is waited for, when no daemon answers: a daemon that is starting or
/// stopping, or another `lobbyd user`.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to do about users.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserCommand {
    /// Add a user; the password is asked for, or is one line of the standard input.
    Add {
        /// Who.
        name: UserName,
        /// What others see instead of the name, not yet checked.
        nickname: Option<String>,
        /// Whether the user may kick others in every room.
        administrator: bool,
    },
    /// Give a user another password, asked for or read like that of `Add`.
    Passwd {
        /// Whom.
        name: UserName,
    },
    /// Remove a user.
    Remove {
        /// Whom.
        name: UserName,
    },
    /// List the users, one a line: name, nickname, administrator, time of adding.
    List,
}

/// Where users are.
pub struct UserSettings {
    /// The data folder.
    pub data: PathBuf,
    /// Which store.
    pub store: StoreChoice,
    /// How new passwords are hashed, where no daemon does it.
    pub hashing: HashParameters,
}

/// Which store.
#[non_exhaustive]
pub enum StoreChoice {
    /// The one in the data folder.
    Embedded,
    /// Redis.
    Redis {
        /// Where, and with which password: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`.
        url: String,
        /// The key of a user.
        account_key: KeyPattern,
        /// What users log in with.
        authentication: Authentication,
    },
}

/// What users in Redis log in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Authentication {
    /// A password, of which Redis holds the hash.
    Argon2id,
    /// A token that another service has written.
    Token,
}

/// Does what `command` says and tells about it on the standard output.
///
/// # Errors
/// When it is not done; the text says why and what to do.
pub fn run(command: UserCommand, settings: &UserSettings) -> anyhow::Result<()> {
    let output = io::stdout();
    let layout = if output.is_terminal() { Layout::Table } else { Layout::Tabs };
    let mut output = output.lock();
    match carry_out(command, settings, prompt::new_password, layout, &mut output) {
        // Whoever read the list has seen enough (`lobbyd user list | head`).
        Err(error) if error.downcast_ref().is_some_and(|e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe) => Ok(()),
        result => result,
    }
}

/// How a list looks: a table for people, or lines for programs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Table,
    Tabs,
}

fn carry_out(
    command: UserCommand,
    settings: &UserSettings,
    password: impl FnOnce(UserName) -> anyhow::Result<Password>,
    layout: Layout,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    if let StoreChoice::Redis { authentication: Authentication::Token, .. } = settings.store {
        bail!(
            "users log in with tokens, which another service issues and writes to Redis: there are no users to \
             administer here; add and remove them there"
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // What a person has to answer comes before the store is opened, so that nobody else waits for that person.
    match command {
        UserCommand::Add { name: user, nickname, administrator } => {
            let nickname = nickname.map(|nickname| {
                Nickname::new(&nickname).with_context(|| format!("\"{}\" cannot be a nickname", printable(&nickname)))
            });
            let new = NewUser { user, nickname: nickname.transpose()?, administrator, password: password(user)? };
            runtime.block_on(async { open(settings).await?.users.add(new).await.map_err(anyhow::Error::from) })?;
            writeln!(output, "user \"{user}\" added")?;
        }
        UserCommand::Passwd { name: user } => {
            let password = password(user)?;
            runtime.block_on(async {
                open(settings).await?.users.set_password(user, password).await.map_err(anyhow::Error::from)
            })?;
            writeln!(output, "password of user \"{user}\" changed")?;
        }
        UserCommand::Remove { name: user } => {
            let consequence = runtime.block_on(async {
                let opened = open(settings).await?;
                opened.users.remove(user).await?;
                anyhow::Ok(opened.reach.consequence_of_removal())
            })?;
            writeln!(output, "user \"{user}\" removed{consequence}")?;
        }
        UserCommand::List => {
            let users =
                runtime.block_on(async { open(settings).await?.users.list().await.map_err(anyhow::Error::from) })?;
            output.write_all(lines(&users, layout).as_bytes())?;
        }
    }
    output.flush()?;
    Ok(())
}

/// The users, and how they were reached.
struct Opened {
    users: Box<dyn UserDirectory>,
    reach: Reach,
}

/// How the users were reached.
#[derive(Clone, Copy)]
enum Reach {
    /// Through the daemon that has the store open.
    Daemon,
    /// In the store itself, which no daemon has open.
    Store,
    /// In Redis, past the daemons that use it.
    Redis,
}

impl Reach {
    fn consequence_of_removal(self) -> &'static str {
        match self {
            Self::Daemon => "; its sessions are closed",
            Self::Store => "",
            Self::Redis => {
                ". It cannot log in any more, but sessions that it has now stay until they end: from here no lobbyd \
                 can be told to close them"
            }
        }
    }
}

async fn open(settings: &UserSettings) -> anyhow::Result<Opened> {
    // One password at a time.
    let hashing = HashPool::new(1, 1, settings.hashing).context("the hashing of passwords cannot be started")?;
    match &settings.store {
        StoreChoice::Embedded => open_embedded(&settings.data, hashing).await,
        StoreChoice::Redis { url, account_key, .. } => {
            let users = RedisUsers::connect(url, account_key.clone(), hashing).await?;
            Ok(Opened { users: Box::new(users), reach: Reach::Redis })
        }
    }
}

/// A daemon that runs has the store open, and is asked; otherwise the store is opened here.
async fn open_embedded(data: &Path, hashing: HashPool) -> anyhow::Result<Opened> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(daemon) = ControlClient::find(data).await? {
            return Ok(Opened { users: Box::new(daemon), reach: Reach::Daemon });
        }
        match EmbeddedAccounts::open(data, hashing.clone()) {
            Ok(accounts) => return Ok(Opened { users: Box::new(accounts), reach: Reach::Store }),
            // It may be about to answer, or about to let go of the store.
            Err(OpenError::Held { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(OpenError::Held { folder }) => bail!(
                "the accounts in {} are held by another process, and nobody answers at {}: a lobbyd that hangs, or \
                 another program; try again, and if it stays so, end that process",
                folder.display(),
                folder.join(SOCKET_NAME).display()
            ),
            Err(error) => return Err(error.into()),
        }
    }
}

fn lines(users: &[UserEntry], layout: Layout) -> String {
    let rows = users.iter().map(|entry| {
        let nickname = entry.nickname.as_deref().map(printable).unwrap_or_default();
        let administrator = if entry.administrator { "yes" } else { "no" };
        [entry.user.to_string(), nickname, administrator.to_owned(), entry.created.map(date).unwrap_or_default()]
    });
    match layout {
        Layout::Tabs => rows.map(|row| row.join("\t") + "\n").collect(),
        Layout::Table if users.is_empty() => "no users; `lobbyd user add NAME` adds one\n".to_owned(),
        Layout::Table => {
            let heading = ["NAME", "NICKNAME", "ADMINISTRATOR", "ADDED"].map(str::to_owned);
            table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
        }
    }
}

/// Columns as wide as their widest field, as terminals count: a Chinese character takes two places.
fn table(rows: &[[String; 4]]) -> String {
    let mut widths = [0; 4];
    for row in rows {
        for (width, field) in widths.iter_mut().zip(row) {
            *width = (*width).max(field.width());
        }
    }
    let mut lines = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, field) in widths.iter().zip(row) {
            line.push_str(field);
            line.extend(std::iter::repeat_n(' ', width - field.width() + 2));
        }
        lines.push_str(line.trim_end());
        lines.push('\n');
    }
    lines
}

/// The text with everything escaped that a terminal would not show, or would obey.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' => shown.push(character),
            // Behind another character, so that an accent which combines with it is text like any other.
            _ => shown.extend(format!("x{character}").escape_debug().skip(1)),
        }
    }
    shown
}

/// A time in seconds since 1970 as RFC 3339 writes it, in UTC.
fn date(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // The calendar repeats every 400 years, and is counted from a 1 March, so that a leap day is the last of its year
    // (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
