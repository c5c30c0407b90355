//! The difference between two lists, as splices.
//!
//! Applied in order, they turn the old list into the new one; indices hold after the splices before. Where the middle has
//! changed beyond recognition, one splice replaces it.

/// Remove `removed` items at `at`, then insert `items` there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice<T> {
    /// Where, after the splices before this one.
    pub at: u32,
    /// How many items go.
    pub removed: u32,
    /// What comes in their place.
    pub items: Vec<T>,
}

/// What turns `old` into `new`.
pub fn diff<T: Clone + PartialEq>(old: &[T], new: &[T]) -> Vec<Splice<T>> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    if let (true, [first, .., last]) = (old.len() == new.len(), new) {
        // One that moved, as a conversation does when something is said in it.
        if old[..old.len() - 1] == new[1..] {
            let (from, to) = ((head + old.len() - 1) as u32, head as u32);
            let gone = Splice { at: from, removed: 1, items: Vec::new() };
            return vec![gone, Splice { at: to, removed: 0, items: vec![first.clone()] }];
        }
        if old[1..] == new[..new.len() - 1] {
            let (from, to) = (head as u32, (head + old.len() - 1) as u32);
            let gone = Splice { at: from, removed: 1, items: Vec::new() };
            return vec![gone, Splice { at: to, removed: 0, items: vec![last.clone()] }];
        }
    }
    if old.len() == new.len() {
        // States that changed here and there: runs of changed items, each in its place.
        let mut splices: Vec<Splice<T>> = Vec::new();
        for (index, (_, item)) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new) {
            let at = (head + index) as u32;
            match splices.last_mut() {
                Some(last) if last.at + last.removed == at => {
                    last.removed += 1;
                    last.items.push(item.clone());
                }
                _ => splices.push(Splice { at, removed: 1, items: vec![item.clone()] }),
            }
        }
        return splices;
    }
    vec![Splice { at: head as u32, removed: old.len() as u32, items: new.to_vec() }]
}

/// Applies splices to a list.
pub fn apply<T: Clone>(list: &mut Vec<T>, splices: &[Splice<T>]) {
    for splice in splices {
        let at = (splice.at as usize).min(list.len());
        let end = (at + splice.removed as usize).min(list.len());
        list.splice(at..end, splice.items.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn folded_list_equals_the_new_one_whatever_changed() {
        let mut rng = StdRng::seed_from_u64(1597);
        let mut list: Vec<u8> = Vec::new();
        for _ in 0..2_000 {
            let mut new = list.clone();
            for _ in 0..rng.random_range(0..4) {
                let at = rng.random_range(0..=new.len());
                match rng.random_range(0..3) {
                    0 => new.insert(at, rng.random_range(0..5)),
                    1 if at < new.len() => drop(new.remove(at)),
                    _ if at < new.len() => new[at] = rng.random_range(0..5),
                    _ => {}
                }
            }
            let splices = diff(&list, &new);
            assert_eq!(splices.is_empty(), list == new);
            apply(&mut list, &splices);
            assert_eq!(list, new);
        }
    }

    #[test]
    fn what_moves_is_two_small_splices() {
        for (old, new, from, to) in [([1, 2, 3, 4], [9, 1, 2, 3], 3, 0), ([1, 2, 3, 4], [2, 3, 4, 9], 0, 3)] {
            let splices = diff(&old, &new);
            let gone = Splice { at: from, removed: 1, items: vec![] };
            assert_eq!(splices, [gone, Splice { at: to, removed: 0, items: vec![9] }]);
            let mut list = old.to_vec();
            apply(&mut list, &splices);
            assert_eq!(list, new);
        }
    }

    #[test]
    fn one_changed_state_is_one_small_splice() {
        let splices = diff(&[1, 2, 3, 4, 5], &[1, 9, 3, 8, 5]);
        assert_eq!(splices.len(), 2);
        assert_eq!(splices[1], Splice { at: 3, removed: 1, items: vec![8] });
    }
}
