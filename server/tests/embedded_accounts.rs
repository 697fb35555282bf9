//! The embedded store as a user of the crate sees it: real files, real processes that are killed.

#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a panic is how a test fails")]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lobbyd::stores::directory::{DirectoryError, NewUser, Nickname, Password, UserDirectory};
use lobbyd::stores::embedded::{EmbeddedAccounts, FILE_NAME, OpenError};
use lobbyd::stores::hasher::HashParameters;
use lobbyd::stores::hashing::HashPool;
use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_core::text::Text;
use lobbyd_net::stores::{Accounts, SecretBytes};

fn hashing() -> HashPool {
    HashPool::new(2, 64, HashParameters::new(8, 1, 1).unwrap()).unwrap()
}

fn open(folder: &Path) -> EmbeddedAccounts {
    EmbeddedAccounts::open(folder, hashing()).unwrap()
}

fn open_error(folder: &Path) -> OpenError {
    EmbeddedAccounts::open(folder, hashing()).err().expect("it must not open")
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn password(text: &str) -> Password {
    Password::new(secret(text)).unwrap()
}

fn new_user(user: &str, with_password: &str) -> NewUser {
    NewUser { user: name(user), password: password(with_password), nickname: None, administrator: false }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn only_the_right_secret_opens_an_account() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path());
    let administrator = NewUser {
        nickname: Some(Nickname::new("Zoe\u{308}").unwrap()),
        administrator: true,
        ..new_user("Zoe", "right")
    };
    accounts.add(administrator).await.unwrap();
    accounts.add(new_user("bob", "bobs")).await.unwrap();
    let zoe = Account { nickname: Some(Text::new("Zo\u{eb}")), administrator: true };
    assert_eq!(accounts.verify(name("zoe"), secret("right")).await, Ok(Some(zoe)));
    assert_eq!(accounts.verify(name("bob"), secret("bobs")).await, Ok(Some(Account::default())));
    for (user, wrong) in [("zoe", "wrong"), ("zoe", ""), ("zoe", "bobs"), ("nobody", "right"), ("nobody", "")] {
        assert_eq!(accounts.verify(name(user), secret(wrong)).await, Ok(None), "{user} {wrong}");
    }
}

#[tokio::test]
async fn changes_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path());
    accounts.add(new_user("alice", "old")).await.unwrap();
    accounts.add(new_user("bob", "bobs")).await.unwrap();
    assert_eq!(accounts.add(new_user("ALICE", "another")).await, Err(DirectoryError::AlreadyExists(name("alice"))));
    drop(accounts);

    let accounts = open(folder.path());
    assert!(accounts.verify(name("alice"), secret("old")).await.unwrap().is_some());
    accounts.set_password(name("alice"), password("new")).await.unwrap();
    accounts.remove(name("bob")).await.unwrap();
    assert_eq!(accounts.remove(name("bob")).await, Err(DirectoryError::Unknown(name("bob"))));
    assert_eq!(accounts.set_password(name("bob"), password("x")).await, Err(DirectoryError::Unknown(name("bob"))));
    let added = accounts.list().await.unwrap()[0].created;
    drop(accounts);

    let accounts = open(folder.path());
    assert!(accounts.verify(name("alice"), secret("new")).await.unwrap().is_some());
    assert_eq!(accounts.verify(name("alice"), secret("old")).await, Ok(None));
    assert_eq!(accounts.verify(name("bob"), secret("bobs")).await, Ok(None));
    let list = accounts.list().await.unwrap();
    assert_eq!(list.iter().map(|entry| entry.user).collect::<Vec<_>>(), [name("alice")]);
    assert!(added.is_some() && list[0].created == added, "another password does not change the time of adding");
}

#[tokio::test]
async fn many_users_are_listed_sorted() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path());
    let mut names: Vec<UserName> = (0..300).map(|number| name(&format!("u{}", number * 7919 % 1000))).collect();
    for user in &names {
        accounts.add(new_user(user.as_str(), "x")).await.unwrap();
    }
    names.sort();
    let listed: Vec<UserName> = accounts.list().await.unwrap().iter().map(|entry| entry.user).collect();
    assert_eq!(listed, names);
}

#[test]
fn concurrent_adds_of_one_name_succeed_once_while_logins_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path());
    let block_on = |accounts: EmbeddedAccounts, work: fn(EmbeddedAccounts, usize) -> Result<(), DirectoryError>, by| {
        std::thread::spawn(move || work(accounts, by))
    };
    let threads: Vec<_> = (0..8)
        .map(|by| {
            block_on(
                accounts.clone(),
                |accounts, by| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                    runtime.block_on(async {
                        let own = format!("own{by}");
                        accounts.add(new_user(&own, "mine")).await.unwrap();
                        assert!(accounts.verify(name(&own), secret("mine")).await.unwrap().is_some());
                        accounts.add(new_user("shared", &own)).await
                    })
                },
                by,
            )
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let added = results.iter().filter(|result| result.is_ok()).count();
    let refused =
        results.iter().filter(|result| **result == Err(DirectoryError::AlreadyExists(name("shared")))).count();
    assert_eq!((added, refused), (1, 7), "{results:?}");
    assert_eq!(accounts.page(None, 100).unwrap().len(), 9);
}

#[test]
fn folder_and_file_are_closed_to_others() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    drop(open(&folder));
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(FILE_NAME)), 0o600);
    // A folder that was there is its owner's business; the file is ours.
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.join(FILE_NAME), Permissions::from_mode(0o644)).unwrap();
    drop(open(&folder));
    assert_eq!(mode(&folder), 0o755);
    assert_eq!(mode(&folder.join(FILE_NAME)), 0o600);
}

#[test]
fn store_that_is_open_already_is_refused_and_opens_once_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(folder.path());
    let error = open_error(folder.path());
    assert!(matches!(error, OpenError::Held { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "the accounts in {} are held by another process: a running lobbyd holds those of its data folder; stop it, \
             or choose another data folder",
            folder.path().display()
        )
    );
    let waiting = {
        let folder = folder.path().to_owned();
        std::thread::spawn(move || EmbeddedAccounts::open_within(&folder, hashing(), Duration::from_secs(60)).is_ok())
    };
    drop(accounts);
    assert!(waiting.join().unwrap());
    drop(open(folder.path()));
}

#[test]
fn folder_that_cannot_be_made_is_a_clear_error() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    let folder = parent.path().join("file/data");
    let error = open_error(&folder);
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("the data folder {} cannot be used: ", folder.display())), "{text}");
}

#[test]
fn file_that_is_no_store_is_a_clear_error_and_is_left_alone() {
    for content in [&b""[..], b"hello", &[0; 10_000], &[0xff; 1_000_000]] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        fs::write(&file, content).unwrap();
        let error = open_error(folder.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("move it away to start without users"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), content);
    }
}

#[tokio::test]
async fn damaged_file_is_an_error_or_still_right_but_never_a_panic_or_a_wrong_yes() {
    let origin = tempfile::tempdir().unwrap();
    let accounts = open(origin.path());
    for number in 0..50 {
        accounts.add(new_user(&format!("user{number}"), "right")).await.unwrap();
    }
    drop(accounts);
    let whole = fs::read(origin.path().join(FILE_NAME)).unwrap();

    let mut damaged: Vec<Vec<u8>> = [1, 100, 4096, 10_000, whole.len() / 2, whole.len() - 1]
        .into_iter()
        .map(|length| whole[..length].to_vec())
        .collect();
    // Every part that is in use, one byte at a time, over the whole file.
    let used = (0..whole.len()).filter(|place| whole[*place] != 0).step_by(211);
    damaged.extend(used.map(|place| {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        bytes
    }));
    let mut refused = 0;
    for bytes in damaged {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), bytes).unwrap();
        match EmbeddedAccounts::open(folder.path(), hashing()) {
            Err(_) => refused += 1,
            Ok(accounts) => {
                if let Ok(answer) = accounts.verify(name("user7"), secret("wrong")).await {
                    assert_eq!(answer, None);
                }
            }
        }
    }
    assert!(refused > 10, "only {refused} damaged files were refused");
}

const FOLDER: &str = "LOBBYD_TEST_FOLDER";

/// The body of the process that [`killed_process_loses_nothing_that_it_acknowledged`] kills.
#[test]
#[ignore = "runs in a process of its own, which another test starts and kills"]
fn add_users_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let accounts = open(Path::new(&folder));
    let known = accounts.page(None, usize::MAX).unwrap().len();
    for number in known.. {
        let user = format!("user{number}");
        runtime.block_on(accounts.add(new_user(&user, &user))).unwrap();
        println!("\nadded {user}");
    }
}

#[tokio::test]
async fn killed_process_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "add_users_until_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let added = |line: &String| line.starts_with("added ");
        // Another number each time, so that the kill comes at another point.
        acknowledged += lines.by_ref().map(Result::unwrap).filter(added).take(round * 3 + 1).count();
        child.kill().unwrap();
        child.wait().unwrap();
        // What was said before the kill and not read yet. The last line may be cut off.
        acknowledged += lines.map_while(Result::ok).filter(added).count();

        let accounts = open(folder.path());
        let users = accounts.list().await.unwrap();
        // The one in flight may be there too.
        assert!((acknowledged..=acknowledged + 1).contains(&users.len()), "{acknowledged} and {}", users.len());
        for number in [0, acknowledged / 2, acknowledged - 1] {
            let user = format!("user{number}");
            assert!(accounts.verify(name(&user), secret(&user)).await.unwrap().is_some(), "{user}");
        }
        acknowledged = users.len();
    }
    assert!(acknowledged >= 8);
}

/// The body of the process whose disk is full for a while.
#[test]
#[ignore = "runs in a process of its own, which limits the size of its files; another test starts it"]
fn meet_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let limit_files_to = |bytes: &str| {
        let process = format!("--pid={}", std::process::id());
        let done = Command::new("prlimit").args([&process, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(done.expect("prlimit (of util-linux) is needed").success());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let accounts = open(Path::new(&folder));
        accounts.add(new_user("early", "right")).await.unwrap();
        limit_files_to("4096");
        let failure = accounts.add(new_user("late", "right")).await.unwrap_err();
        assert!(failure.to_string().contains("accounts.redb cannot be used: I/O error: File too large"), "{failure}");
        assert!(accounts.verify(name("early"), secret("right")).await.unwrap().is_some());
        assert_eq!(accounts.verify(name("late"), secret("right")).await, Ok(None));
        // Opened again, which does not go well either.
        accounts.add(new_user("late", "right")).await.unwrap_err();
        limit_files_to("unlimited");
        accounts.add(new_user("late", "right")).await.unwrap();
        assert!(accounts.verify(name("early"), secret("right")).await.unwrap().is_some());
        assert!(accounts.verify(name("late"), secret("right")).await.unwrap().is_some());
    });
}

#[test]
fn full_disk_fails_changes_only_and_only_while_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    // Without the signal by which the system would end a process that writes past its limit.
    let output = Command::new("bash")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "meet_a_full_disk", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}
