//! Commands of services (XEP-0050), as an object that goes from stage to stage.

use whimbrel_engine::api::{Ask, Command, Reply};

use crate::{
    Account, CommandAction, CommandStage, CommandStatus, Error, Form, FullAddress, account::unexpected,
};

/// A command that a service executes for us. Each step needs a connection and waits for its answer: [`Error::Offline`],
/// [`Error::TimedOut`], [`Error::ServerRefused`]. One that is dropped is not cancelled: the service forgets it after a while.
#[derive(Clone, Debug)]
pub struct AdHoc {
    account: Account,
    of: FullAddress,
    node: String,
    stage: CommandStage,
}

impl AdHoc {
    pub(crate) async fn begin(account: Account, of: &FullAddress, node: &str) -> Result<Self, Error> {
        let (of, node) = (of.clone(), node.to_owned());
        let stage = step(&account, &of, &node, CommandAction::Execute, None, None).await?;
        Ok(Self { account, of, node, stage })
    }

    /// How far it has come: what it says, wants to know, and lets us do.
    pub fn stage(&self) -> &CommandStage {
        &self.stage
    }

    /// Goes on with this, in the way that the service means where there are several.
    ///
    /// # Errors
    /// As above; [`Error::InvalidInput`] where it is over, or a field of the form that is required says nothing.
    pub async fn execute(&mut self, form: Option<Form>) -> Result<&CommandStage, Error> {
        self.go(CommandAction::Execute, form).await
    }

    /// Goes on to the next stage with this.
    ///
    /// # Errors
    /// As above; [`Error::InvalidInput`] as for [`AdHoc::execute`], and where this stage does not offer it.
    pub async fn next(&mut self, form: Option<Form>) -> Result<&CommandStage, Error> {
        self.go(CommandAction::Next, form).await
    }

    /// Goes back to the stage before.
    ///
    /// # Errors
    /// As [`AdHoc::next`].
    pub async fn prev(&mut self) -> Result<&CommandStage, Error> {
        self.go(CommandAction::Prev, None).await
    }

    /// Finishes it with this.
    ///
    /// # Errors
    /// As [`AdHoc::next`].
    pub async fn complete(&mut self, form: Option<Form>) -> Result<&CommandStage, Error> {
        self.go(CommandAction::Complete, form).await
    }

    /// Gives it up.
    ///
    /// # Errors
    /// As [`AdHoc::execute`].
    pub async fn cancel(&mut self) -> Result<&CommandStage, Error> {
        self.go(CommandAction::Cancel, None).await
    }

    async fn go(&mut self, action: CommandAction, form: Option<Form>) -> Result<&CommandStage, Error> {
        let invalid = |what: &str| Err(Error::InvalidInput { what: what.to_owned() });
        if self.stage.status != CommandStatus::Executing {
            return invalid("the command is over");
        }
        let always = matches!(action, CommandAction::Execute | CommandAction::Cancel);
        if !always && !self.stage.actions.contains(&action) {
            return invalid("this stage does not offer that");
        }
        let session = self.stage.session.clone();
        let mut stage = step(&self.account, &self.of, &self.node, action, session.clone(), form).await?;
        stage.session = stage.session.or(session);
        self.stage = stage;
        Ok(&self.stage)
    }
}

async fn step(
    account: &Account,
    of: &FullAddress,
    node: &str,
    action: CommandAction,
    session: Option<String>,
    form: Option<Form>,
) -> Result<CommandStage, Error> {
    let what = Ask::Command { node: node.to_owned(), action, session, form };
    match account.ask(Command::Ask { of: of.clone(), what }).await? {
        Reply::Stage(stage) => Ok(stage),
        other => Err(unexpected(&other)),
    }
}
