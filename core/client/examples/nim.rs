//! A game between two accounts, and not a word of chat: Nim, with one heap. Whoever takes the last stick wins.
//!
//! `nim DATA ACCOUNT OPPONENT SERVER:PORT CA first|second`, with the password in `WHIMBREL_PASSWORD`. Each process prints the moves
//! as they stand, and who has won. It may be killed at any moment, and goes on when it is started again:
//!
//! - A move is a payload in a namespace of the game's own. What was played is never kept here: the library's log of payloads *is* the
//!   game, the same on both sides, and is read again whenever something in it is new.
//! - A move's id is made of its number. Whoever was killed before it knew that it had moved moves once more, and that is the same
//!   message.

use std::{env, fs, process::ExitCode, sync::Arc, time::Duration};

use whimbrel::{
    Account, Address, ClaimKind, Client, Connection, Error, Event, FileVault, ItemId, Options, Payload,
    PresenceSubscription, Server,
};

const NIM: &str = "urn:whimbrel:sample:nim:0";
const STICKS: u32 = 120;
/// One may take so many at most.
const MOST: u32 = 3;

/// A move: which one it is, who made it, how many sticks were taken.
struct Move {
    number: u32,
    mine: bool,
    sticks: u32,
}

impl Move {
    fn read(payload: &Payload) -> Option<Self> {
        let element: minidom::Element = payload.xml.parse().ok()?;
        let number = |name| element.attr(name)?.parse().ok();
        let (number, sticks) = (number("number")?, number("sticks")?);
        (1..=MOST).contains(&sticks).then_some(Self { number, mine: payload.mine, sticks })
    }
}

/// The game so far: moves that follow each other, by turns. What does not is nobody's move.
fn moves(account: &Account, opponent: &Address, first: bool) -> Result<Vec<Move>, Error> {
    let mut moves: Vec<Move> = Vec::new();
    let mut after: Option<ItemId> = None;
    loop {
        let page = account.payloads(opponent, NIM, after.as_ref(), 100)?;
        let Some(last) = page.last() else { return Ok(moves) };
        after = Some(last.id.clone());
        for played in page.iter().filter_map(Move::read) {
            let number = moves.len() as u32 + 1;
            if played.number == number
                && played.mine == (first == (number % 2 == 1))
                && played.sticks <= left(&moves)
            {
                moves.push(played);
            }
        }
    }
}

fn left(moves: &[Move]) -> u32 {
    STICKS - moves.iter().map(|played| played.sticks).sum::<u32>()
}

/// Leaves a multiple of four, if it can.
fn best(left: u32) -> u32 {
    match left % (MOST + 1) {
        0 => 1,
        rest => rest,
    }
}

async fn play(account: &Account, opponent: &Address, first: bool) -> Result<(), Error> {
    // Before the log is read: what comes later is told.
    let mut events = account.events();
    let mut shown = 0;
    loop {
        let moves = moves(account, opponent, first)?;
        for Move { number, mine, sticks } in &moves[shown..] {
            println!("{number} {} {sticks}", if *mine { account.jid() } else { opponent });
        }
        shown = moves.len();
        let number = shown as u32 + 1;
        if left(&moves) == 0 {
            let winner = if moves.last().is_some_and(|last| last.mine) { account.jid() } else { opponent };
            println!("{winner} wins");
            return Ok(());
        }
        if first == (number % 2 == 1) {
            let sticks = best(left(&moves));
            let id = ItemId(format!("00000000-0000-4000-8000-{number:012}"));
            let xml = format!("<take xmlns='{NIM}' number='{number}' sticks='{sticks}'/>");
            account.send_payload(id, opponent, &xml).await?;
            continue;
        }
        while !matches!(events.next().await, None | Some(Event::Payload(_))) {}
    }
}

/// Whom one plays with has to be a friend: of strangers no move is heard.
async fn befriend(account: &Account, opponent: &Address) -> Result<(), Error> {
    account.add_contact(opponent, None).await?;
    let contacts = account.contacts();
    let updates = contacts.subscribe();
    let mut seq = 0;
    loop {
        let contact = contacts.items()?.into_iter().find(|contact| contact.jid == *opponent);
        match contact {
            Some(contact) if contact.subscription == PresenceSubscription::Both => return Ok(()),
            Some(contact) if contact.asks => account.accept_contact(opponent).await?,
            _ => {}
        }
        seq = updates.next(seq).await?.seq;
    }
}

async fn run() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [data, own, opponent, server, ca, turn] = arguments.as_slice() else {
        return Err(Error::InvalidInput { what: "six arguments are needed".into() });
    };
    let invalid = |what: &str| Error::InvalidInput { what: what.to_owned() };
    let (host, port) = server.rsplit_once(':').ok_or_else(|| invalid("HOST:PORT is needed"))?;
    let connection = Connection {
        server: Some(Server {
            host: host.to_owned(),
            port: port.parse().map_err(|_| invalid("no port"))?,
            direct_tls: true,
        }),
        certificates: Some(fs::read_to_string(ca).map_err(|error| invalid(&error.to_string()))?),
        ..Connection::default()
    };
    let vault = Arc::new(FileVault::new(format!("{data}/keys")));
    let client = Client::open(data, vault, Options::default()).await?;
    let account = client.add_account(own.parse()?, connection).await?;
    account.claim(NIM, ClaimKind::Messages, true).await?;
    match account.sign_in(&env::var("WHIMBREL_PASSWORD").unwrap_or_default()).await {
        // It goes on trying, and so does the game.
        Ok(()) | Err(Error::Offline) => {}
        Err(error) => return Err(error),
    }
    let opponent: Address = opponent.parse()?;
    befriend(&account, &opponent).await?;
    play(&account, &opponent, turn == "first").await?;
    // The last move has to leave.
    while account.sync(Duration::from_secs(60)).await.is_err() {}
    account.suspend(Duration::from_secs(5)).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
