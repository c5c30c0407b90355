//! What arrived beside what was sent: lost, doubled, out of order (API.md, "Figures").

use std::collections::BTreeMap;

/// A comparison of numbers in the order in which they were sent with the numbers in the order in which they arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many were sent.
    pub sent: usize,
    /// How many of them arrived, once or more.
    pub arrived: usize,
    /// What was sent and is not there.
    pub lost: Vec<u32>,
    /// How many are there once more than they should be.
    pub doubled: usize,
    /// Pairs that stand the other way than they were sent.
    pub out_of_order: usize,
    /// What has something in front of it that was sent later.
    pub late: Vec<u32>,
}

impl Tally {
    /// Compares; what arrived and was not sent is compared with nothing, but doubled all the same if it is there twice.
    pub fn of(sent: &[u32], arrived: &[u32]) -> Tally {
        let mut times: BTreeMap<u32, usize> = BTreeMap::new();
        let mut first_times = Vec::new();
        for number in arrived {
            let seen = times.entry(*number).or_default();
            *seen += 1;
            if *seen == 1 {
                first_times.push(*number);
            }
        }
        let place: BTreeMap<u32, usize> = sent.iter().enumerate().map(|(at, number)| (*number, at)).collect();
        let places: Vec<usize> = first_times.iter().filter_map(|number| place.get(number).copied()).collect();
        let overtaken = overtaken(&places);
        let lost: Vec<u32> = sent.iter().filter(|number| !times.contains_key(number)).copied().collect();
        Tally {
            sent: sent.len(),
            arrived: sent.len() - lost.len(),
            lost,
            doubled: times.values().map(|times| times - 1).sum(),
            out_of_order: overtaken.iter().map(|(_, by)| by).sum(),
            late: overtaken.iter().map(|(at, _)| sent[*at]).collect(),
        }
    }

    /// Two directions as one.
    pub fn and(mut self, other: Tally) -> Tally {
        self.sent += other.sent;
        self.arrived += other.arrived;
        self.lost.extend(other.lost);
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.late.extend(other.late);
        self
    }

    /// Nothing lost, nothing doubled, nothing out of order.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.doubled + self.out_of_order == 0
    }
}

/// The places that have later ones in front of them, and how many.
fn overtaken(places: &[usize]) -> Vec<(usize, usize)> {
    let mut sorted: Vec<usize> = Vec::with_capacity(places.len());
    let mut overtaken = Vec::new();
    for place in places {
        let at = sorted.partition_point(|other| other < place);
        if at < sorted.len() {
            overtaken.push((*place, sorted.len() - at));
        }
        sorted.insert(at, *place);
    }
    overtaken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_twice_there_or_turned_around_is_counted() {
        let tally = Tally::of(&[1, 2, 3, 4, 5], &[1, 3, 2, 3, 5]);
        let expected =
            Tally { sent: 5, arrived: 4, lost: vec![4], doubled: 1, out_of_order: 1, late: vec![2] };
        assert_eq!(tally, expected);
        assert!(!tally.is_clean() && Tally::of(&[1, 2], &[1, 2]).is_clean());
    }

    #[test]
    fn message_that_overtakes_three_others_makes_three_wrong_pairs() {
        assert_eq!(Tally::of(&[1, 2, 3, 4], &[4, 1, 2, 3]).out_of_order, 3);
    }
}
