//! The users of a lobbyd that is started for a bench: all with one secret.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Context, bail};

use crate::bench::protocol::redis::command;
use crate::stores::embedded::EmbeddedAccounts;
use crate::stores::hasher::HashParameters;
use crate::stores::hashing::HashPool;

/// Makes the embedded store. All users have one hash, so that making it does not take as long as the bench.
pub(super) fn fill_embedded(
    data: &Path,
    users: &[String],
    secret: &str,
    parameters: HashParameters,
) -> anyhow::Result<()> {
    let pool = HashPool::new(1, 1, parameters).context("the thread that hashes cannot be started")?;
    let accounts = EmbeddedAccounts::open(data, pool).context("the accounts cannot be made")?;
    let names = users.iter().map(|user| user.parse().with_context(|| format!("no user can be called {user:?}")));
    let names: Vec<_> = names.collect::<anyhow::Result<_>>()?;
    accounts.fill(&names, secret.as_bytes(), parameters).context("the accounts cannot be made")
}

/// Writes a token for each user, as the web API of a game would.
pub(super) fn fill_tokens(redis: SocketAddr, users: &[String], token: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(redis).context("the Redis for tokens cannot be connected to")?;
    let mut answers = BufReader::new(stream.try_clone().context("a socket cannot be shared")?).lines();
    // In parts, whose answers fit the buffers of the sockets.
    for part in users.chunks(1000) {
        let mut commands = Vec::new();
        for user in part {
            command(&[b"SET", format!("lobbyd:token:{user}").as_bytes(), token.as_bytes()], &mut commands);
        }
        stream.write_all(&commands).context("the Redis for tokens cannot be written")?;
        for _ in part {
            match answers.next() {
                Some(Ok(answer)) if answer == "+OK" => {}
                answer => bail!("the Redis for tokens stores none: {answer:?}"),
            }
        }
    }
    Ok(())
}
