//! Accounts in a database of this process: a file in the data folder, which one process at a time has open.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_core::text::Text;
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};

use super::account_file::{AccountFile, Record};
use super::directory::{DirectoryError, NewUser, Password, UserDirectory, UserEntry, unix_seconds};
#[cfg(target_os = "linux")]
use super::hasher::{HashParameters, Hasher};
use super::hashing::HashPool;

pub use super::account_file::{FILE_NAME, OpenError};

/// How many users are read from the disk at a time.
const PAGE_USERS: usize = 256;

/// Accounts in `accounts.redb` in the data folder. Clones share it; with the last one it is closed.
#[derive(Clone)]
pub struct EmbeddedAccounts {
    file: Arc<AccountFile>,
    hashing: HashPool,
}

impl EmbeddedAccounts {
    /// Opens the store in `folder`, and makes both if they are missing (folder with mode 0700, file with 0600).
    ///
    /// # Errors
    /// When another process has it open, or it cannot be made, read, written or understood.
    pub fn open(folder: &Path, hashing: HashPool) -> Result<Self, OpenError> {
        Ok(Self { file: Arc::new(AccountFile::open(folder)?), hashing })
    }

    /// Like [`open`](Self::open), but waits up to `patience` for another process to close the store, blocking the
    /// thread: beside a daemon that is being replaced, or a `lobbyd user`, which has it open for moments only.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_within(folder: &Path, hashing: HashPool, patience: Duration) -> Result<Self, OpenError> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::open(folder, hashing.clone()) {
                Err(OpenError::Held { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                opened => return opened,
            }
        }
    }

    /// Up to `count` users whose names come after `after` (from the first, if it is `None`), sorted by name.
    ///
    /// # Errors
    /// When the disk fails or a record is damaged.
    pub fn page(&self, after: Option<UserName>, count: usize) -> Result<Vec<UserEntry>, DirectoryError> {
        let page = self.file.page(after, count).map_err(unavailable)?;
        Ok(page.into_iter().map(|(user, record)| entry(user, record)).collect())
    }

    /// Adds users who all have one secret, and one hash of it: for a bench, whose users need no secrets from each other.
    #[cfg(target_os = "linux")]
    pub(crate) fn fill(
        &self,
        users: &[UserName],
        secret: &[u8],
        parameters: HashParameters,
    ) -> Result<(), Unavailable> {
        let hash = Hasher::new(parameters)?.hash(secret)?;
        self.file.insert_all(users, &Record::new(hash, None, false, unix_seconds()))
    }

    async fn hash(&self, password: Password) -> Result<String, DirectoryError> {
        self.hashing.hash(password.into_bytes()).await.map_err(unavailable)
    }
}

impl Accounts for EmbeddedAccounts {
    /// Reads the record on the hashing thread that compares the secret: the way there is gone anyway, and so a slow
    /// disk delays logins but never the I/O thread.
    fn verify(&self, user: UserName, secret: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        let file = Arc::clone(&self.file);
        Box::pin(self.hashing.run(move |hasher| {
            let record = file.read(user)?;
            let is_right = hasher
                .verify(record.as_ref().map(|record| record.hash.as_str()), &secret)
                .map_err(|Unavailable(text)| Unavailable(format!("user \"{user}\" cannot log in: {text}")))?;
            Ok(record.filter(|_| is_right).map(|record| Account {
                nickname: record.nickname.as_deref().map(Text::new),
                administrator: record.administrator,
            }))
        }))
    }
}

impl UserDirectory for EmbeddedAccounts {
    fn add(&self, user: NewUser) -> LocalFuture<'_, Result<(), DirectoryError>> {
        Box::pin(async move {
            let NewUser { user, password, nickname, administrator } = user;
            let hash = self.hash(password).await?;
            let nickname = nickname.map(|nickname| nickname.as_str().to_owned());
            let record = Record::new(hash, nickname, administrator, unix_seconds());
            let added = self.file.insert(user, &record).map_err(unavailable)?;
            if added { Ok(()) } else { Err(DirectoryError::AlreadyExists(user)) }
        })
    }

    fn set_password(&self, user: UserName, password: Password) -> LocalFuture<'_, Result<(), DirectoryError>> {
        Box::pin(async move {
            let hash = self.hash(password).await?;
            let changed = self.file.set_hash(user, &hash).map_err(unavailable)?;
            if changed { Ok(()) } else { Err(DirectoryError::Unknown(user)) }
        })
    }

    fn remove(&self, user: UserName) -> LocalFuture<'_, Result<(), DirectoryError>> {
        Box::pin(async move {
            let removed = self.file.remove(user).map_err(unavailable)?;
            if removed { Ok(()) } else { Err(DirectoryError::Unknown(user)) }
        })
    }

    fn list(&self) -> LocalFuture<'_, Result<Vec<UserEntry>, DirectoryError>> {
        Box::pin(async move {
            let mut users: Vec<UserEntry> = Vec::new();
            loop {
                let page = self.page(users.last().map(|last| last.user), PAGE_USERS)?;
                if page.is_empty() {
                    return Ok(users);
                }
                users.extend(page);
            }
        })
    }
}

fn entry(user: UserName, record: Record) -> UserEntry {
    let Record { nickname, administrator, created, .. } = record;
    UserEntry { user, nickname, administrator, created: Some(created) }
}

fn unavailable(Unavailable(text): Unavailable) -> DirectoryError {
    DirectoryError::Unavailable(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::hasher::HashParameters;

    #[tokio::test]
    async fn malformed_hash_is_told_with_the_name_of_its_user_and_never_lets_anybody_in() {
        let folder = tempfile::tempdir().unwrap();
        let hashing = HashPool::new(1, 8, HashParameters::new(8, 1, 1).unwrap()).unwrap();
        let accounts = EmbeddedAccounts::open(folder.path(), hashing).unwrap();
        let user: UserName = "alice".parse().unwrap();
        assert!(accounts.file.insert(user, &Record::new("hush".into(), None, true, 0)).unwrap());
        for secret in ["hush", "", "other"] {
            let answer = accounts.verify(user, SecretBytes::new(secret.as_bytes().to_vec())).await;
            if secret.is_empty() {
                assert_eq!(answer, Ok(None));
                continue;
            }
            let text = "user \"alice\" cannot log in: its stored password hash is not a PHC string; set its password \
                        again (`lobbyd user passwd`)";
            assert_eq!(answer, Err(Unavailable(text.into())));
        }
    }
}
