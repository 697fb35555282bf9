use super::*;

fn record() -> Record {
    Record::new("$argon2id$hush".into(), Some("Ally".into()), true, 7)
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

#[test]
fn record_that_is_damaged_or_newer_is_an_error_which_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = AccountFile::open(folder.path()).unwrap();
    let put = |user: &str, bytes: &[u8]| {
        file.change(|accounts| {
            accounts.insert(user, bytes)?;
            Ok(true)
        })
        .unwrap();
    };
    put("broken", br#"{"version":1,"hash":"$argon2id$hush","nickname":5}"#);
    put("newer", br#"{"version":2,"hashes":["$argon2id$hush"]}"#);
    for (user, text) in [
        ("broken", "the record of user \"broken\" is damaged (Data at byte 49); remove the user and add it again"),
        (
            "newer",
            "the record of user \"newer\" is of version 2, and this lobbyd knows versions up to 1: use the lobbyd \
             that wrote it, or a later one",
        ),
    ] {
        assert_eq!(file.read(name(user)).err(), Some(Unavailable(text.into())));
        assert_eq!(file.set_hash(name(user), "x"), Err(Unavailable(text.into())));
        assert!(file.remove(name(user)).unwrap(), "{user} can still be removed");
    }
    assert!(file.page(None, 10).unwrap().is_empty());
}

#[test]
fn newer_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = AccountFile::open(folder.path()).unwrap();
    file.with(|database| {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert("version", 2)?;
        transaction.commit()?;
        Ok(())
    })
    .unwrap();
    drop(file);
    let error = AccountFile::open(folder.path()).err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 2, .. }), "{error}");
    assert!(error.to_string().contains("are of version 2, and this lobbyd knows versions up to 1"), "{error}");
}

#[test]
fn database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Database::create(folder.path().join(FILE_NAME)).unwrap());
    let error = AccountFile::open(folder.path()).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn store_that_failed_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = AccountFile::open(folder.path()).unwrap();
    assert!(file.insert(name("alice"), &record()).unwrap());
    // What is left after the file could not be opened again; the next use tries once more.
    file.opened.write().unwrap().database = None;
    assert!(file.read(name("alice")).unwrap().is_some());
    assert_eq!(file.opened.read().unwrap().reopened, 1);
    // A failed thread that comes late does not open it another time.
    file.reopen(0).unwrap();
    assert_eq!(file.opened.read().unwrap().reopened, 1);
}

#[test]
fn leftovers_of_a_killed_start_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let leftover = folder.path().join(format!("{NEW_PREFIX}0123"));
    fs::write(&leftover, "half a database").unwrap();
    drop(AccountFile::open(folder.path()).unwrap());
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [FILE_NAME]);
}

#[test]
fn file_belongs_to_the_owner_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    // Only root can give the folder away; for everybody else the two are the same anyway.
    let _ = chown(folder.path(), Some(54321), Some(54321));
    drop(AccountFile::open(folder.path()).unwrap());
    let owner = |path: &Path| fs::metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
    assert_eq!(owner(&folder.path().join(FILE_NAME)).0, owner(folder.path()).0);
}

#[test]
fn page_goes_on_after_the_last_name_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = AccountFile::open(folder.path()).unwrap();
    for user in ["c", "a", "b.x", "b", "b-x", "b_x"] {
        assert!(file.insert(name(user), &record()).unwrap());
    }
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = file.page(after, 2).unwrap();
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        names.extend(page.into_iter().map(|(user, _)| user));
    }
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted);
    assert_eq!(names, ["a", "b", "b-x", "b.x", "b_x", "c"].map(name));
}
