use std::collections::BTreeSet;

use super::*;

/// What may be seen of a life, as words.
fn words(actions: &Actions, seen: &mut BTreeSet<String>) {
    for action in actions.iter() {
        let text = format!("{action:?}");
        seen.extend(text.split(|letter: char| !letter.is_alphanumeric()).map(str::to_owned));
    }
}

#[test]
fn seeds_and_lives_by_chance_reach_everything() {
    let mut seen = BTreeSet::new();
    let mut random = 1_u64;
    let mut live = |bytes: &[u8], model: Option<fn(&Config) -> Model>| {
        let mut reader = Reader::new(bytes);
        let mut life = Life::new(&mut reader, model);
        while !reader.is_empty() {
            life.operation(&mut reader);
            words(&life.actions, &mut seen);
        }
        life.end();
    };
    let mut look = |bytes: &[u8]| {
        live(bytes, Some(Model::new));
        // The same again with an extension.
        let mut bytes = bytes.to_vec();
        bytes.first_mut().into_iter().for_each(|first| *first |= 128);
        live(&bytes, None);
    };
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/engine");
    for seed in std::fs::read_dir(seeds).expect("a folder") {
        look(&std::fs::read(seed.expect("a file").path()).expect("a file"));
    }
    for _ in 0..300 {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        };
        // High bytes are what ends lives: half of them are made low, so that some live long.
        let bytes: Vec<u8> = (0..3_000).map(|_| if next() < 128 { next() } else { next() % 216 }).collect();
        look(&bytes);
    }
    let wanted = "Welcome Ping Pong GoAway Closing LoginResponse LogoutResponse RoomListResponse RoomCreateResponse \
                  RoomEnterResponse RoomLeaveResponse RoomChatResponse DirectMessageResponse KickResponse \
                  RoomNewUserNotify RoomLeaveUserNotify RoomUserListNotify RoomChatNotify DirectMessageNotify Kicked \
                  AnnounceNotify NoticeNotify CustomResponse Answer VerifyLogin ReleasePresence Online \
                  Flooding NotLoggedIn AlreadyLoggedIn LoginPending LoginCancelled LoginDenied AlreadyOnline \
                  TooManyAttempts ServerFull StoreUnavailable Draining NameInvalid NotInLobby NotInRoom RoomUnknown \
                  RoomPasswordWrong RoomPasswordAttempts RoomFull RoomBanned RoomLimit RoomRate RoomsFull \
                  CapacityInvalid TitleInvalid TextEmpty TextTooLong TextInvalid NotAllowed UserUnknown BansFull \
                  AddressFull ConnectRate VersionUnsupported HelloExpected HelloRepeated FrameEmpty FrameTooLong \
                  PacketUnknown PacketMalformed LoginTimeout LoginAttempts Silent SlowConsumer Superseded \
                  OperatorClosed Stopped CustomNotify CallService ExtensionFailed CommandUnknown \
                  CommandCancelled ExtensionBusy";
    let missed: Vec<_> = wanted.split(' ').filter(|word| !word.is_empty() && !seen.contains(*word)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
