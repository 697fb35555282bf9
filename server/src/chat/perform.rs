//! Doing what a command says.

use std::time::{SystemTime, UNIX_EPOCH};

use lobbyd_core::id::RoomNumber;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::Code;
use lobbyd_net::client::ClientError;
use lobbyd_net::stores::SecretBytes;

use super::client::{Client, End, FLOOD_PAUSE, refusal};
use super::command::Command;
use super::input::Question;
use super::render;

/// How often a script that says more than the server's budget allows waits for one line, before it gives up.
const FLOOD_PAUSES_MAX: u32 = 20;

impl Client {
    /// Does what `command` says and tells the person what came of it.
    pub(super) async fn perform(&mut self, command: Command<'_>) -> Result<(), End> {
        match command {
            Command::Nothing => Ok(()),
            Command::Say(text) => self.say(text).await,
            Command::Rooms => self.rooms().await,
            Command::Create { title, capacity, protected } => self.create(title, capacity, protected).await,
            Command::Enter { room, password } => self.enter(room, password.map(|password| password.0)).await,
            Command::Leave => self.leave().await,
            Command::Who => self.who(),
            Command::Message { user, text } => self.message(user, text).await,
            Command::Kick { user, ban } => self.kick(user, ban).await,
            Command::Custom { name, parameters } => self.custom(name, parameters).await,
            Command::Login { user } => self.log_in(user).await,
            Command::Logout => self.log_out().await,
            Command::Ping => self.ping().await,
            Command::Help => self.show(&render::help()),
            Command::Quit => Err(End::Quit),
        }
    }

    async fn say(&mut self, text: &str) -> Result<(), End> {
        let Some(room) = self.room_or_hint()? else { return Ok(()) };
        let handle = self.link.handle.clone();
        for _ in 0..FLOOD_PAUSES_MAX {
            match self.outcome(handle.chat(room, text)).await? {
                Ok(_) => return Ok(()),
                // A person is told to wait; a script cannot be told, and what it reads from is patient.
                Err(ClientError::Refused(Code::Flooding)) if !self.input.is_person() => {}
                Err(refused) => return self.complain(&refusal(&refused)),
            }
            self.done(async {
                tokio::time::sleep(FLOOD_PAUSE).await;
                Ok(())
            })
            .await?;
        }
        self.complain(&render::refusal(Code::Flooding))
    }

    async fn rooms(&mut self) -> Result<(), End> {
        let handle = self.link.handle.clone();
        match self.done(handle.all_rooms()).await? {
            Some(rooms) => self.show(&render::rooms(&rooms)),
            None => Ok(()),
        }
    }

    async fn create(&mut self, title: &str, capacity: u32, protected: bool) -> Result<(), End> {
        // Before a password is asked for in vain.
        if self.view.room().is_some() {
            return self.complain(&render::refusal(Code::NotInLobby));
        }
        let password = if protected { Some(self.room_password("Password of the new room: ").await?) } else { None };
        let handle = self.link.handle.clone();
        self.view.entering();
        let password = password.as_deref().map(Vec::as_slice);
        match self.outcome(handle.create_room(title, capacity, password)).await? {
            Ok(entered) => {
                let lines = self.view.entered(entered);
                self.show(&lines)
            }
            Err(refused) => self.stay_out(&refused),
        }
    }

    async fn enter(&mut self, room: RoomNumber, password: Option<&[u8]>) -> Result<(), End> {
        let handle = self.link.handle.clone();
        self.view.entering();
        let refused = match self.outcome(handle.enter(room, password)).await? {
            Ok(entered) => {
                let lines = self.view.entered(entered);
                return self.show(&lines);
            }
            Err(refused) => refused,
        };
        let wanted = matches!(refused, ClientError::Refused(Code::RoomPasswordWrong));
        if !wanted || password.is_some() || !self.input.is_person() {
            return self.stay_out(&refused);
        }
        let lines = self.view.stayed_out();
        self.show(&lines)?;
        let password = self.room_password(&format!("Password of room {room}: ")).await?;
        // Asked for once: with a password at hand there is no third time.
        Box::pin(self.enter(room, Some(&password))).await
    }

    fn stay_out(&mut self, refused: &ClientError) -> Result<(), End> {
        let lines = self.view.stayed_out();
        self.show(&lines)?;
        self.complain(&refusal(refused))
    }

    async fn leave(&mut self) -> Result<(), End> {
        let Some(room) = self.room_or_hint()? else { return Ok(()) };
        let handle = self.link.handle.clone();
        if self.done(handle.leave(room)).await?.is_none() {
            return Ok(());
        }
        self.view.left();
        self.show(&[format!("* you left room {room}")])
    }

    fn who(&mut self) -> Result<(), End> {
        match self.view.room() {
            Some(room) => self.show(&render::members(room, self.view.me())),
            None => self.room_or_hint().map(|_| ()),
        }
    }

    async fn message(&mut self, user: UserName, text: &str) -> Result<(), End> {
        let handle = self.link.handle.clone();
        match self.done(handle.direct_message(user.as_str(), text)).await? {
            Some(()) => self.show(&[format!("* sent to {user}")]),
            None => Ok(()),
        }
    }

    async fn kick(&mut self, user: UserName, ban: bool) -> Result<(), End> {
        let Some(room) = self.room_or_hint()? else { return Ok(()) };
        let members = self.view.room().map(|room| room.named(user)).unwrap_or_default();
        if members.is_empty() {
            return self.complain(&format!("{user} is not in this room: /who lists who is"));
        }
        let handle = self.link.handle.clone();
        for member in members {
            if self.done(handle.kick(room, member, ban)).await?.is_none() {
                return Ok(());
            }
        }
        // That the member is out, the room has been told.
        if ban { self.show(&[format!("* {user} may not come back to room {room}")]) } else { Ok(()) }
    }

    async fn custom(&mut self, name: &str, parameters: &str) -> Result<(), End> {
        // A clock before 1970 is as good as none.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = u64::try_from(since_1970.as_millis()).unwrap_or_default();
        let handle = self.link.handle.clone();
        match self.done(handle.command(name, parameters.as_bytes(), timestamp)).await? {
            Some(reply) if reply.success => self.show(&[render::reply(name, &reply.data)]),
            Some(reply) => self.complain(&render::failure(name, reply.error_message.as_ref())),
            None => Ok(()),
        }
    }

    async fn log_in(&mut self, user: Option<UserName>) -> Result<(), End> {
        if self.view.me().is_some() {
            return self.complain(&render::refusal(Code::AlreadyLoggedIn));
        }
        self.log_in_again(user).await
    }

    async fn log_out(&mut self) -> Result<(), End> {
        let handle = self.link.handle.clone();
        if self.done(handle.logout()).await?.is_none() {
            return Ok(());
        }
        self.view.logged_out();
        self.show(&["* you are logged out; /login logs in again, /quit ends".to_owned()])
    }

    async fn ping(&mut self) -> Result<(), End> {
        let handle = self.link.handle.clone();
        match self.done(handle.ping()).await? {
            Some(taken) => self.show(&[format!("* the server answered in {}", render::duration(taken))]),
            None => Ok(()),
        }
    }

    /// The room that one is in; otherwise the person is told how to get into one.
    fn room_or_hint(&self) -> Result<Option<RoomNumber>, End> {
        if let Some(room) = self.view.room() {
            return Ok(Some(room.number));
        }
        if self.view.me().is_none() {
            self.complain(&render::refusal(Code::NotLoggedIn))?;
        } else {
            self.complain("enter a room first: /rooms lists them, /enter NUMBER enters one")?;
        }
        Ok(None)
    }

    async fn room_password(&mut self, question: &str) -> Result<SecretBytes, End> {
        self.question(Question::Secret(question.to_owned())).await
    }
}
