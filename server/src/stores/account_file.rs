//! The file in which the embedded store keeps accounts: `accounts.redb` in the data folder, a redb database. Opening
//! it, its records, and one durable transaction for each change. Everything here blocks the calling thread.
//!
//! Architecture invariant: the file comes into being complete or not at all, and each change is on the disk before it
//! is acknowledged; so a process that is killed at any moment leaves a file that opens and holds what was acknowledged.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use lobbyd_core::name::UserName;
use lobbyd_net::stores::Unavailable;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use serde::{Deserialize, Serialize};

/// The name of the file in the data folder.
pub const FILE_NAME: &str = "accounts.redb";

/// The version of the file that this program writes, and the newest that it reads.
const FILE_VERSION: u64 = 1;
/// The version of a record, likewise. Each record says its own, so that a later program can read old ones as they are.
const RECORD_VERSION: u32 = 1;
/// The system caches the file too, and each connection would keep its account's page here for as long as the daemon runs.
const CACHE_BYTES: usize = 1024 * 1024;

/// User name to [`Record`] as JSON.
const ACCOUNTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("accounts");
/// `version` to the version of the file.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data folder is not there and cannot be made, or cannot be used.
    #[error(
        "the data folder {} cannot be used: {source}; make it writable, or choose another data folder",
        folder.display()
    )]
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has the store open.
    #[error(
        "the accounts in {} are held by another process: a running lobbyd holds those of its data folder; stop it, or \
         choose another data folder",
        folder.display()
    )]
    Held {
        /// The data folder.
        folder: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the accounts in {} cannot be opened: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else than it should.
    #[error(
        "the accounts in {} are damaged: {reason}; put back a copy of the file, or move it away to start without users",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A later lobbyd has written the file.
    #[error(
        "the accounts in {} are of version {found}, and this lobbyd knows versions up to {FILE_VERSION}: use the \
         lobbyd that wrote them, or a later one",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u64,
    },
}

/// What is stored of a user. Not `Debug`: it holds the hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The argon2id hash of the password, a PHC string.
    pub(crate) hash: String,
    pub(crate) nickname: Option<String>,
    pub(crate) administrator: bool,
    /// In seconds since 1970.
    pub(crate) created: u64,
}

impl Record {
    pub(crate) fn new(hash: String, nickname: Option<String>, administrator: bool, created: u64) -> Self {
        Self { version: RECORD_VERSION, hash, nickname, administrator, created }
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and a flag always are JSON")
    }

    fn decode(user: &str, bytes: &[u8]) -> Result<Self, Fault> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let damaged = |error: serde_json::Error| {
            // Not the error's own text, which may quote what is stored.
            Fault::Record(format!(
                "the record of user \"{}\" is damaged ({:?} at byte {}); remove the user and add it again",
                user.escape_debug(),
                error.classify(),
                error.column()
            ))
        };
        let Version { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version > RECORD_VERSION {
            return Err(Fault::Record(format!(
                "the record of user \"{}\" is of version {version}, and this lobbyd knows versions up to \
                 {RECORD_VERSION}: use the lobbyd that wrote it, or a later one",
                user.escape_debug()
            )));
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }
}

/// The open file. No other process has it open.
pub(crate) struct AccountFile {
    folder: PathBuf,
    opened: RwLock<Opened>,
}

struct Opened {
    /// `None` if it could not be opened again after a failure.
    database: Option<Database>,
    /// How often it was opened again.
    reopened: u64,
}

impl AccountFile {
    /// Opens the file in `folder`. A folder that is missing is made with mode 0700, a file that is missing with 0600.
    pub(crate) fn open(folder: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Folder { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let path = folder.join(FILE_NAME);
        // A second round only if two processes start in a new folder at a time, and the other one is done first.
        let database = loop {
            if path.try_exists().map_err(unusable)? {
                break open_database(folder, &path)?;
            }
            if let Some(database) = create_database(folder, &path)? {
                break database;
            }
        };
        // Both only tidy up; where they fail, the store is as good.
        remove_abandoned(folder);
        close_to_others(&path);
        let opened = Opened { database: Some(database), reopened: 0 };
        Ok(Self { folder: folder.to_owned(), opened: RwLock::new(opened) })
    }

    pub(crate) fn read(&self, user: UserName) -> Result<Option<Record>, Unavailable> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(ACCOUNTS)?;
            table.get(user.as_str())?.map(|record| Record::decode(user.as_str(), record.value())).transpose()
        })
    }

    /// Up to `count` users whose names come after `after`, sorted.
    pub(crate) fn page(&self, after: Option<UserName>, count: usize) -> Result<Vec<(UserName, Record)>, Unavailable> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(ACCOUNTS)?;
            let start = after.as_ref().map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_str()));
            let mut page = Vec::new();
            for entry in table.range::<&str>((start, Bound::Unbounded))?.take(count) {
                let (name, record) = entry?;
                let name = name.value();
                let user = name.parse().map_err(|_| {
                    Fault::Record(format!("the store holds \"{}\", which is no user name", name.escape_debug()))
                })?;
                page.push((user, Record::decode(name, record.value())?));
            }
            Ok(page)
        })
    }

    /// Stores a user who is not there: `false`, and nothing is changed, if it is.
    pub(crate) fn insert(&self, user: UserName, record: &Record) -> Result<bool, Unavailable> {
        self.change(|accounts| {
            if accounts.get(user.as_str())?.is_some() {
                return Ok(false);
            }
            accounts.insert(user.as_str(), record.encode().as_slice())?;
            Ok(true)
        })
    }

    /// Stores users who all have one record, in one transaction; whoever is there already gets it, too.
    #[cfg(target_os = "linux")]
    pub(crate) fn insert_all(&self, users: &[UserName], record: &Record) -> Result<(), Unavailable> {
        let changed = self.change(|accounts| {
            for user in users {
                accounts.insert(user.as_str(), record.encode().as_slice())?;
            }
            Ok(true)
        });
        changed.map(|_| ())
    }

    /// Stores another hash of a user: `false` if it is not there.
    pub(crate) fn set_hash(&self, user: UserName, hash: &str) -> Result<bool, Unavailable> {
        self.change(|accounts| {
            let Some(before) =
                accounts.get(user.as_str())?.map(|record| Record::decode(user.as_str(), record.value())).transpose()?
            else {
                return Ok(false);
            };
            let record = Record { hash: hash.to_owned(), ..before };
            accounts.insert(user.as_str(), record.encode().as_slice())?;
            Ok(true)
        })
    }

    /// Removes a user, whatever is stored of it: `false` if it is not there.
    pub(crate) fn remove(&self, user: UserName) -> Result<bool, Unavailable> {
        self.change(|accounts| Ok(accounts.remove(user.as_str())?.is_some()))
    }

    /// One transaction, durable when this returns; undone unless `change` says that it changed something.
    fn change(
        &self,
        change: impl Fn(&mut redb::Table<'_, &'static str, &'static [u8]>) -> Result<bool, Fault>,
    ) -> Result<bool, Unavailable> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            let changed = change(&mut transaction.open_table(ACCOUNTS)?)?;
            if changed {
                transaction.commit()?;
            } else {
                transaction.abort()?;
            }
            Ok(changed)
        })
    }

    /// Runs `operation` on the database. After a failure of the disk (it was full, say) redb refuses everything until
    /// the file is opened again; that is done here, so that logins go on.
    fn with<T>(&self, operation: impl Fn(&Database) -> Result<T, Fault>) -> Result<T, Unavailable> {
        let mut result = self.attempt(&operation);
        if let Err((Fault::Unusable, reopened)) = result {
            self.reopen(reopened)?;
            result = self.attempt(&operation);
        }
        result.map_err(|(fault, _)| {
            let path = self.folder.join(FILE_NAME);
            Unavailable(match fault {
                Fault::Record(text) => text,
                Fault::Database(error) => format!("the accounts in {} cannot be used: {error}", path.display()),
                Fault::Unusable => format!("the accounts in {} cannot be used after a failure", path.display()),
            })
        })
    }

    /// With a fault, also how often the database had been opened again.
    fn attempt<T>(&self, operation: impl Fn(&Database) -> Result<T, Fault>) -> Result<T, (Fault, u64)> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        opened.database.as_ref().ok_or(Fault::Unusable).and_then(operation).map_err(|fault| (fault, opened.reopened))
    }

    fn reopen(&self, reopened: u64) -> Result<(), Unavailable> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.reopened != reopened {
            // Another thread has met the same failure and was quicker.
            return Ok(());
        }
        // Closed first, or its own lock would be in the way.
        opened.database = None;
        let database = open_database(&self.folder, &self.folder.join(FILE_NAME))
            .map_err(|error| Unavailable(error.to_string()))?;
        opened.database = Some(database);
        opened.reopened += 1;
        Ok(())
    }
}

/// Why an operation failed.
enum Fault {
    /// The database says so.
    Database(redb::Error),
    /// The database is closed, or refuses everything because of an earlier failure. Nothing was done.
    Unusable,
    /// What it holds makes no sense.
    Record(String),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        let error = error.into();
        if matches!(error, redb::Error::PreviousIo | redb::Error::LockPoisoned(_) | redb::Error::DatabaseClosed) {
            Self::Unusable
        } else {
            Self::Database(error)
        }
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // A damaged file is then an error here rather than a panic in the middle of a login. Accounts are few megabytes.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn open_database(folder: &Path, path: &Path) -> Result<Database, OpenError> {
    let database = builder().open(path).map_err(|error| explain(error, folder, path))?;
    let damaged = |error: redb::Error| OpenError::Damaged { path: path.to_owned(), reason: error.to_string() };
    let version = read_version(&database).map_err(damaged)?;
    if version > FILE_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found: version });
    }
    Ok(database)
}

/// The file's version; an error if it lacks a table or one has another type.
fn read_version(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let version = transaction.open_table(META)?.get("version")?.map_or(u64::MAX, |version| version.value());
    // A later version may keep its accounts in another way.
    if version <= FILE_VERSION {
        transaction.open_table(ACCOUNTS)?;
    }
    Ok(version)
}

/// Makes the file under another name, complete, and only then gives it its own; `None` if there is one already.
fn create_database(folder: &Path, path: &Path) -> Result<Option<Database>, OpenError> {
    let failed = |source| OpenError::Folder { folder: folder.to_owned(), source };
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(|error| failed(io::Error::other(error)))?;
    let new_path = folder.join(format!("{NEW_PREFIX}{:016x}", u64::from_le_bytes(suffix)));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new_path).map_err(failed)?;
    give_to_owner_of(folder, &new_path);
    let created = write_empty(&new_path).map_err(|error| explain(error, folder, &new_path)).and_then(|database| {
        match fs::hard_link(&new_path, path) {
            Ok(()) => Ok(Some(database)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            // Another process took it for abandoned, and so has made the file itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    });
    // Under its own name it stays; if this fails, the next start tidies up.
    let _ = fs::remove_file(&new_path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    created
}

const NEW_PREFIX: &str = "accounts.redb.new-";

fn write_empty(path: &Path) -> Result<Database, DatabaseError> {
    let database = builder().create(path)?;
    let write = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(ACCOUNTS)?;
        transaction.open_table(META)?.insert("version", FILE_VERSION)?;
        transaction.commit()?;
        Ok(())
    };
    write().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(database)
}

/// If root adds the first user before the daemon, which runs as another user, has ever run: the folder is the daemon's,
/// and so the file must be, or the daemon could not open it. Everybody else owns what they make, and may not give it
/// away.
fn give_to_owner_of(folder: &Path, path: &Path) {
    if let (Ok(folder), Ok(file)) = (fs::metadata(folder), fs::metadata(path))
        && folder.uid() != file.uid()
    {
        let _ = chown(path, Some(folder.uid()), Some(folder.gid()));
    }
}

/// What a process that was killed while it made the file has left. Called by the one that has the file open, so that
/// nobody else has any use for them.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(NEW_PREFIX) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Hashes are nobody else's business, also in a file that was copied here with other permissions.
fn close_to_others(path: &Path) {
    let open_to_others = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if open_to_others && let Err(error) = fs::set_permissions(path, Permissions::from_mode(0o600)) {
        tracing::warn!(
            file = %path.display(), %error,
            "others can read the accounts and this cannot be changed; set the mode of the file to 0600"
        );
    }
}

fn explain(error: DatabaseError, folder: &Path, path: &Path) -> OpenError {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
        return OpenError::Held { folder: folder.to_owned() };
    }
    let path = path.to_owned();
    if let DatabaseError::Storage(StorageError::Io(source)) = error {
        // The file is there and says something else than it should, or ends too early.
        let is_content = matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        return if is_content {
            OpenError::Damaged { path, reason: source.to_string() }
        } else {
            OpenError::File { path, source }
        };
    }
    OpenError::Damaged { path, reason: error.to_string() }
}

#[cfg(test)]
mod tests;
