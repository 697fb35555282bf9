//! Opens the stores that the settings name.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use lobbyd_net::Errands;
use lobbyd_net::redis::{Link, LinkConfig, PresenceConfig, RedisAccounts, RedisPresence};
use lobbyd_net::stores::Accounts;

use super::embedded::EmbeddedAccounts;
use super::hasher::HashParameters;
use super::hashing::HashPool;
use crate::config::{RedisAuth, RedisUrl, Settings, Store};

/// A daemon that replaces another waits this long for it to let go of the data folder.
const PATIENCE: Duration = Duration::from_secs(2);

/// The stores of one daemon.
pub(crate) struct Stores {
    /// Who decides about secrets.
    pub(crate) accounts: Rc<dyn Accounts>,
    /// Who knows where users are online; absent where no other daemon shares the accounts.
    pub(crate) presence: Option<Rc<RedisPresence>>,
    /// The embedded store, if it is that one.
    pub(crate) embedded: Option<EmbeddedAccounts>,
}

impl Stores {
    /// Accounts that a program brings, and nothing else.
    pub(crate) fn only(accounts: Rc<dyn Accounts>) -> Self {
        Self { accounts, presence: None, embedded: None }
    }

    /// Opens them; what they do beside being asked are these errands. A Redis that cannot be reached is no error: logins
    /// fail with a clear answer until it can.
    ///
    /// # Errors
    /// Says which store cannot be opened, why, and what to do.
    pub(crate) fn open(settings: &Settings, errands: &Errands) -> anyhow::Result<Self> {
        match &settings.server.store {
            Store::Embedded => {
                let accounts = EmbeddedAccounts::open_within(&settings.server.data, hash_pool(settings)?, PATIENCE)?;
                Ok(Self { accounts: Rc::new(accounts.clone()), presence: None, embedded: Some(accounts) })
            }
            Store::Redis(url) => open_redis(settings, url, errands),
        }
    }
}

fn hash_pool(settings: &Settings) -> anyhow::Result<HashPool> {
    let parameters = hash_parameters(settings)?;
    let accounts = &settings.accounts;
    HashPool::new(accounts.hash_threads as usize, accounts.hash_queue_max as usize, parameters)
        .context("the threads that hash passwords cannot be started")
}

/// How new passwords are hashed.
pub(crate) fn hash_parameters(settings: &Settings) -> anyhow::Result<HashParameters> {
    let accounts = &settings.accounts;
    HashParameters::new(accounts.argon2_memory.as_kib(), accounts.argon2_iterations, accounts.argon2_parallelism)
        .context("accounts.argon2_… cannot hold")
}

fn open_redis(settings: &Settings, url: &RedisUrl, errands: &Errands) -> anyhow::Result<Stores> {
    let mut random = [0; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        bail!("the system gives no random numbers: {error}");
    }
    let (node, seeds) = random.split_at(16);
    let (link_seed, presence_seed) = seeds.split_at(8);

    let redis = &settings.redis;
    let address = url.address();
    let link_config = LinkConfig {
        connect_timeout: redis.connect_timeout,
        response_timeout: redis.response_timeout,
        seed: number(link_seed) as u64,
        ..LinkConfig::default()
    };
    let dial = address.dial();
    let link = Link::start_in(errands.clone(), address, dial, link_config);

    let deadline = settings.session.login_timeout;
    let accounts: Rc<dyn Accounts> = match redis.auth {
        RedisAuth::Argon2id => {
            let verifier = Rc::new(hash_pool(settings)?);
            Rc::new(RedisAccounts::argon2id(link.clone(), redis.account_key.clone(), verifier, deadline))
        }
        RedisAuth::Token => Rc::new(RedisAccounts::token(link.clone(), redis.token_key.clone(), deadline)),
    };
    let presence = RedisPresence::start(
        link,
        PresenceConfig {
            channel: format!("{}:evicted", redis.presence_key),
            key: redis.presence_key.clone(),
            node: number(node),
            lease: redis.lease,
            take_timeout: deadline,
            leases_max: 2 * settings.limits.users_max as usize,
            seed: number(presence_seed) as u64,
        },
    )
    .context("redis.lease or redis.presence_key cannot hold")?;
    Ok(Stores { accounts, presence: Some(Rc::new(presence)), embedded: None })
}

/// Random bytes as a number.
fn number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u128::from(*byte))
}
