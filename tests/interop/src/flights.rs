//! Counting round trips from outside: what can be told from the records of a TLS connection without reading them.
//!
//! Every TLS record says in clear which kind it is and how long. A *flight* is a longest run of the client's application data
//! with none of the server's in between, seen from where the client stands: its own bytes when it sends them, the server's
//! when they are handed to it. How often a client had to wait for an answer before it went on is the number of its flights
//! less one; how many round trips an exchange took is the number of flights that it began, up to its end.
//!
//! Two things look like application data and are not, because TLS 1.3 hides its own messages among it:
//! - *The client's Finished* is its first such record. It is not counted, and neither are the server's own records before it
//!   (EncryptedExtensions to Finished). A server that sent none before the client's first one speaks TLS 1.2, where Finished
//!   is a handshake record and the client's first application data is data.
//! - *Tickets* (NewSessionTicket), which OpenSSL sends the moment it has the client's Finished, two of them, of one size, each
//!   in a record of its own. They answer nothing that a client said, and if one of them arrived between the two halves of a
//!   client's flight it would count as two. So the server's first two records after the client's Finished do not end a flight
//!   if they are equally long. Where a guess is wrong it is on the side of too many flights, but for a server whose first two
//!   records of real data happen to be of one size.
//!
//! What the client sends together with its Finished, as one may, is its first flight.

use std::time::Instant;

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// One run of the client's application data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flight {
    /// When its first record left the client.
    pub at: Instant,
    /// When the first of the server's data after it was handed to the client.
    pub answered: Option<Instant>,
    /// Its records.
    pub records: usize,
    /// Their length on the wire, headers included.
    pub bytes: usize,
}

/// Who sent a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The phone.
    Client,
    /// The server.
    Server,
}

/// One record as the wire shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When it was complete.
    pub at: Instant,
    /// Who sent it.
    pub from: From,
    /// Its content type: 20 change cipher spec, 21 alert, 22 handshake, 23 application data.
    pub content: u8,
    /// Its length without the header.
    pub length: usize,
}

/// What was seen of one connection. Feed it the bytes of both directions in the order in which the client sees them.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    client: Reader,
    server: Reader,
    server_sent_data: bool,
    finished: Option<Instant>,
    after_finished: Vec<Record>,
    flights: Vec<Flight>,
    start: Vec<Record>,
}

/// As many records of a connection's start are kept for whoever wants to look.
const KEPT: usize = 64;

impl Wire {
    /// Bytes that the client has sent.
    pub fn client(&mut self, bytes: &[u8], at: Instant) {
        for (content, length) in self.client.read(bytes) {
            self.note(Record { at, from: From::Client, content, length });
            if content != APPLICATION_DATA {
                continue;
            }
            if self.finished.is_none() {
                self.finished = Some(at);
                if self.server_sent_data {
                    continue;
                }
            }
            match self.flights.last_mut() {
                Some(flight) if flight.answered.is_none() => {
                    flight.records += 1;
                    flight.bytes += length + 5;
                }
                _ => self.flights.push(Flight { at, answered: None, records: 1, bytes: length + 5 }),
            }
        }
    }

    /// Bytes that the client was handed.
    pub fn server(&mut self, bytes: &[u8], at: Instant) {
        for (content, length) in self.server.read(bytes) {
            let record = Record { at, from: From::Server, content, length };
            self.note(record);
            if content != APPLICATION_DATA {
                continue;
            }
            if self.finished.is_none() {
                self.server_sent_data = true;
                continue;
            }
            // A first record may be a ticket: only the second can tell. If they differ the first was an answer after all,
            // at the time when it came.
            if self.server_sent_data && self.after_finished.len() < 2 {
                self.after_finished.push(record);
                match self.after_finished[..] {
                    [first, second] if first.length != second.length => self.answer(first.at),
                    _ => {}
                }
            } else {
                self.answer(at);
            }
        }
    }

    fn answer(&mut self, at: Instant) {
        if let Some(flight) = self.flights.last_mut()
            && flight.answered.is_none()
        {
            flight.answered = Some(at);
        }
    }

    fn note(&mut self, record: Record) {
        if self.start.len() < KEPT {
            self.start.push(record);
        }
    }

    /// The client's flights so far, oldest first.
    pub fn flights(&self) -> &[Flight] {
        &self.flights
    }

    /// The first records of both directions.
    pub fn first_records(&self) -> &[Record] {
        &self.start
    }
}

/// Cuts one direction into records. What comes before TLS (STARTTLS) is text, which has no byte 22 in it.
#[derive(Debug, Clone, Default)]
struct Reader {
    header: Vec<u8>,
    left: usize,
    in_tls: bool,
}

impl Reader {
    fn read(&mut self, mut bytes: &[u8]) -> Vec<(u8, usize)> {
        let mut records = Vec::new();
        if !self.in_tls {
            let Some(start) = bytes.iter().position(|byte| *byte == HANDSHAKE) else { return records };
            bytes = &bytes[start..];
            self.in_tls = true;
        }
        while !bytes.is_empty() {
            if self.header.len() < 5 {
                let taken = bytes.len().min(5 - self.header.len());
                self.header.extend_from_slice(&bytes[..taken]);
                bytes = &bytes[taken..];
                if self.header.len() < 5 {
                    break;
                }
                self.left = self.length();
            }
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            bytes = &bytes[taken..];
            if self.left == 0 {
                records.push((self.header[0], self.length()));
                self.header.clear();
            }
        }
        records
    }

    fn length(&self) -> usize {
        usize::from(u16::from_be_bytes([self.header[3], self.header[4]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(content: u8, length: u16) -> Vec<u8> {
        let mut bytes = vec![content, 3, 3];
        bytes.extend(length.to_be_bytes());
        bytes.resize(5 + usize::from(length), 0xAA);
        bytes
    }

    /// `C`lient or `S`erver, content type, length.
    fn wire(records: &[(char, u8, u16)]) -> Wire {
        let mut wire = Wire::default();
        for (from, content, length) in records {
            let bytes = record(*content, *length);
            // Torn at an odd place, as TCP may.
            for part in [&bytes[..3], &bytes[3..]] {
                match from {
                    'C' => wire.client(part, Instant::now()),
                    _ => wire.server(part, Instant::now()),
                }
            }
        }
        wire
    }

    const HELLO_13: [(char, u8, u16); 5] =
        [('C', 22, 200), ('S', 22, 100), ('S', 20, 1), ('S', 23, 900), ('C', 20, 1)];

    fn after_hello_13(more: &[(char, u8, u16)]) -> usize {
        wire(&[&HELLO_13[..], more].concat()).flights().len()
    }

    #[test]
    fn finished_and_the_first_stanzas_are_one_flight() {
        assert_eq!(after_hello_13(&[('C', 23, 69), ('C', 23, 400), ('S', 23, 600)]), 1);
    }

    #[test]
    fn finished_alone_is_no_flight() {
        assert_eq!(after_hello_13(&[('C', 23, 69), ('S', 23, 234), ('S', 23, 234)]), 0);
    }

    #[test]
    fn tickets_between_two_halves_of_a_flight_do_not_split_it() {
        let halves =
            [('C', 23, 69), ('C', 23, 100), ('S', 23, 234), ('S', 23, 234), ('C', 23, 300), ('S', 23, 900)];
        assert_eq!(after_hello_13(&halves), 1);
    }

    #[test]
    fn each_answer_that_is_waited_for_begins_another_flight() {
        let asked_twice = [
            ('C', 23, 69),
            ('C', 23, 100),
            ('S', 23, 234),
            ('S', 23, 234),
            ('S', 23, 500),
            ('C', 23, 100),
            ('S', 23, 80),
            ('C', 23, 90),
        ];
        assert_eq!(after_hello_13(&asked_twice), 3);
    }

    #[test]
    fn server_without_tickets_is_counted_right() {
        let no_tickets = [('C', 23, 69), ('C', 23, 100), ('S', 23, 500), ('S', 23, 80), ('C', 23, 100)];
        assert_eq!(after_hello_13(&no_tickets), 2);
    }

    #[test]
    fn in_tls_1_2_the_first_application_data_counts() {
        let old = [
            ('C', 22, 200),
            ('S', 22, 900),
            ('C', 22, 70),
            ('C', 20, 1),
            ('C', 22, 40),
            ('S', 22, 200),
            ('S', 20, 1),
            ('S', 22, 40),
            ('C', 23, 150),
            ('S', 23, 500),
            ('C', 23, 80),
        ];
        assert_eq!(wire(&old).flights().len(), 2);
    }

    #[test]
    fn words_before_starttls_are_not_looked_at() {
        let mut wire = Wire::default();
        wire.client(b"<stream:stream><starttls/>", Instant::now());
        wire.server(b"<stream:features/><proceed/>", Instant::now());
        for (from, content, length) in HELLO_13.into_iter().chain([('C', 23, 69), ('C', 23, 400)]) {
            match from {
                'C' => wire.client(&record(content, length), Instant::now()),
                _ => wire.server(&record(content, length), Instant::now()),
            }
        }
        assert_eq!(wire.flights().len(), 1);
    }
}
