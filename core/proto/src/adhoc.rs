//! Ad-hoc commands (XEP-0050): something that a service does for us, stage by stage, each with a form.

use minidom::Element;
use serde::{Deserialize, Serialize};

use crate::{form::Form, ns, write::Tag};

/// How far a command has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandStage {
    /// How the service calls this execution, if it keeps one.
    pub session: Option<String>,
    /// Whether it goes on.
    pub status: CommandStatus,
    /// What may be done now; while it is executing, to cancel it, too.
    pub actions: Vec<CommandAction>,
    /// What is meant where nothing else is said: one of the actions.
    pub default: Option<CommandAction>,
    /// What it wants to know, or has found.
    pub form: Option<Form>,
    /// What it says, for a person.
    pub notes: Vec<CommandNote>,
}

/// Whether a command goes on (XEP-0050 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    /// It waits for what follows.
    Executing,
    /// It is done.
    Completed,
    /// It was cancelled, by either side.
    Canceled,
}

/// What one may do with a command (XEP-0050 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandAction {
    /// Begin it, or go on in whatever way is usual.
    Execute,
    /// The next stage.
    Next,
    /// Back to the stage before.
    Prev,
    /// Finish it.
    Complete,
    /// Give it up.
    Cancel,
}

/// What a command says (XEP-0050 §3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandNote {
    /// How much it matters.
    pub kind: CommandNoteKind,
    /// For a person.
    pub text: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandNoteKind {
    /// To be known.
    Info,
    /// It went on, and something is odd.
    Warn,
    /// It did not work.
    Error,
}

impl CommandAction {
    fn name(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::Next => "next",
            Self::Prev => "prev",
            Self::Complete => "complete",
            Self::Cancel => "cancel",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Next, Self::Prev, Self::Complete].into_iter().find(|action| action.name() == name)
    }
}

impl CommandStage {
    /// Reads a `<command/>`.
    pub fn read(command: &Element) -> Option<Self> {
        if !command.is("command", ns::COMMANDS) {
            return None;
        }
        let status = match command.attr("status") {
            Some("executing") => CommandStatus::Executing,
            Some("canceled") => CommandStatus::Canceled,
            // What says nothing has been done (XEP-0050 §3.4 wants it said).
            _ => CommandStatus::Completed,
        };
        let (mut actions, mut default) = (Vec::new(), None);
        if status == CommandStatus::Executing {
            let offered = command.get_child("actions", ns::COMMANDS);
            for action in offered.into_iter().flat_map(Element::children) {
                actions.extend(CommandAction::of(action.name()).filter(|action| !actions.contains(action)));
            }
            // Where nothing is offered there is one stage (XEP-0050 §3.4).
            if actions.is_empty() {
                actions.push(CommandAction::Complete);
            }
            default = offered.and_then(|offered| CommandAction::of(offered.attr("execute")?));
        }
        let only = actions.first().copied().filter(|_| actions.len() == 1);
        let default = default.filter(|default| actions.contains(default)).or(only);
        let note = |note: &Element| CommandNote {
            kind: match note.attr("type") {
                Some("warn") => CommandNoteKind::Warn,
                Some("error") => CommandNoteKind::Error,
                _ => CommandNoteKind::Info,
            },
            text: note.text(),
        };
        Some(Self {
            session: command.attr("sessionid").map(str::to_owned),
            status,
            actions,
            default,
            form: command.children().find_map(Form::read),
            notes: command.children().filter(|child| child.name() == "note").map(note).collect(),
        })
    }
}

/// A step of a command: to begin it without a session, or to go on with it.
pub fn command(node: &str, action: CommandAction, session: Option<&str>, form: Option<Tag>) -> Tag {
    Tag::with_ns("command", ns::COMMANDS)
        .attr("node", node)
        .attr("action", action.name())
        .attr_opt("sessionid", session)
        .child_opt(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> CommandStage {
        let command =
            format!("<command xmlns='http://jabber.org/protocol/commands' node='n' {content}</command>");
        CommandStage::read(&command.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_stage_says_what_may_be_done() {
        use CommandAction::{Complete, Next, Prev};
        let stage = read(
            "status='executing' sessionid='s'><actions execute='complete'><prev/><complete/></actions><note type='warn'>Mind</note><x xmlns='jabber:x:data' type='form'/>",
        );
        assert_eq!((stage.actions, stage.default), (vec![Prev, Complete], Some(Complete)));
        assert_eq!(stage.notes, [CommandNote { kind: CommandNoteKind::Warn, text: "Mind".into() }]);
        assert!(stage.form.is_some());
        // One stage where nothing is said; what is not offered is no default, and to execute is none that is offered.
        let stage = read("status='executing'>");
        assert_eq!((stage.actions, stage.default), (vec![Complete], Some(Complete)));
        let stage =
            read("status='executing'><actions execute='next'><prev/><complete/><execute/><prev/></actions>");
        assert_eq!((stage.actions, stage.default), (vec![Prev, Complete], None));
        let stage = read("status='executing'><actions><next/></actions>");
        assert_eq!((stage.actions, stage.default), (vec![Next], Some(Next)));
        let stage = read("status='completed'><actions><next/></actions>");
        assert_eq!((stage.status, stage.actions, stage.default), (CommandStatus::Completed, vec![], None));
    }
}
