//! Archives that lie.

use super::*;

#[test]
fn archive_that_never_ends() {
    // Pages that repeat, pages that are empty, pages that go back: the gap stays visible, and nobody asks for ever.
    type Pages = fn(u32) -> Vec<Archived>;
    let cruel: [Pages; 3] =
        [|_| archived(1..4), |_| Vec::new(), |n| if n % 2 == 0 { archived(1..4) } else { archived(2..3) }];
    for (index, pages) in cruel.into_iter().enumerate() {
        let mut world = World::online();
        world.gets(&live(0));
        world.away_and_back();
        let mut asked = 0;
        while world.has_query() {
            let query = world.next_query();
            let id = query.attr("id").unwrap();
            let entries = pages(asked);
            let entries: Vec<&Archived> = entries.iter().collect();
            let mut answer: Vec<String> = entries.iter().map(|entry| result(id, entry)).collect();
            answer.push(fin(id, &entries, false));
            world.gets_all(&answer.iter().map(String::as_str).collect::<Vec<_>>());
            asked += 1;
            assert!(asked < 12, "{index}");
        }
        assert_eq!(world.gaps(), 1);
        let mut seen = world.sees();
        assert_eq!(seen.pop().unwrap(), "--", "{index}");
        assert_eq!(seen, numbers(0..if index == 1 { 1 } else { 4 }), "{index}: in order, once");
    }
}
