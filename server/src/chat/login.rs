//! Logging in: who, the password, and what to do when it is refused.

use lobbyd_core::name::{InvalidUserName, UserName};
use lobbyd_core::packet::{CloseReason, Code};
use lobbyd_net::client::ClientError;

use super::client::{Client, End, Link, refusal};
use super::input::Question;
use super::render;

impl Client {
    /// Logs in after connecting, as `user` or as whom the person says. A person may try again after a mistake.
    pub(super) async fn log_in_first(&mut self, user: Option<UserName>) -> Result<(), End> {
        loop {
            match self.log_in_once(user).await? {
                Ok(()) => return Ok(()),
                // Nothing else becomes better when it is typed again.
                Err(ClientError::Refused(Code::LoginDenied)) if self.input.is_person() => {
                    self.complain("the name or the password is wrong: try again")?;
                }
                Err(refused) => return Err(End::LoginRefused(refusal(&refused))),
            }
        }
    }

    /// Logs in again, after logging out.
    pub(super) async fn log_in_again(&mut self, user: Option<UserName>) -> Result<(), End> {
        match self.log_in_once(user).await? {
            Ok(()) => Ok(()),
            Err(refused) if self.input.is_person() => self.complain(&refusal(&refused)),
            // A script would say as nobody what it wants to say as this user.
            Err(refused) => Err(End::LoginRefused(refusal(&refused))),
        }
    }

    async fn log_in_once(&mut self, user: Option<UserName>) -> Result<Result<(), ClientError>, End> {
        let user = match user {
            Some(user) => user,
            None => self.ask_name().await?,
        };
        let password = self.question(Question::Secret(format!("Password of {user}: "))).await?;
        let mut outcome = self.request_login(user, &password).await;
        if let Err(End::Lost(ClientError::Closed(CloseReason::LoginTimeout))) = outcome {
            // Who takes long to find a password is disconnected meanwhile, and need not know.
            self.link = Link::open(&self.address).await.map_err(End::Failed)?;
            outcome = self.request_login(user, &password).await;
        }
        outcome
    }

    async fn request_login(&mut self, user: UserName, password: &[u8]) -> Result<Result<(), ClientError>, End> {
        let handle = self.link.handle.clone();
        match self.outcome(handle.login(user.as_str(), password)).await? {
            Ok(me) => {
                let greeting = render::logged_in(&me, handle.welcome());
                self.view.logged_in(me);
                self.show(&[greeting]).map(Ok)
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    async fn ask_name(&mut self) -> Result<UserName, End> {
        loop {
            let answer = self.question(Question::Name("User name: ")).await?;
            let name = std::str::from_utf8(&answer).ok().map(|name| name.trim().parse());
            match name.unwrap_or(Err(InvalidUserName)) {
                Ok(name) => return Ok(name),
                Err(invalid) if self.input.is_person() => self.complain(&invalid.to_string())?,
                Err(invalid) => return Err(End::LoginRefused(invalid.to_string())),
            }
        }
    }
}
