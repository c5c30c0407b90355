//! Worlds in which only the device is hostile: every fault is of one kind, as often as it can be.
//!
//! The other faults are left to the soak. Here a kind is alone, so that what it breaks is not hidden by what mends it, and
//! each row also shows that its fault has happened.

mod hostile {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
    use sim::{Act, Deed, DiskFailure, Report, Script, Size, When, World};

    const WORLDS: u64 = 48;
    const SIZE: Size = Size { messages: 40, faults: 8, devices: 1 };

    #[test]
    fn killed_anywhere() {
        let report = worlds(|rng| Deed::Kill { when: instant(rng), back: a_while(rng) });
        assert!(report.deaths > 4 * WORLDS, "{report:?}");
        assert_eq!((report.power_cuts, report.refused), (0, 0));
    }

    #[test]
    fn power_lost_anywhere() {
        let report = worlds(|rng| Deed::PowerLoss { when: instant(rng), back: a_while(rng) });
        assert!(report.power_cuts > 4 * WORLDS, "{report:?}");
        assert_eq!((report.deaths - report.power_cuts, report.refused), (0, 0));
    }

    #[test]
    fn disk_full() {
        let report = worlds(|rng| failing(DiskFailure::Full, rng));
        assert!(report.refused > 4 * WORLDS, "{report:?}");
        assert_eq!(report.deaths, 0, "and nobody dies of it");
    }

    #[test]
    fn io_error() {
        let report = worlds(|rng| failing(DiskFailure::Broken, rng));
        assert!(report.refused > 2 * WORLDS, "{report:?}");
        assert_eq!(report.deaths, 0);
    }

    #[test]
    fn io_error_once() {
        let report = worlds(|rng| failing(DiskFailure::Once, rng));
        assert!(report.refused > 2 * WORLDS, "{report:?}");
        assert_eq!(report.deaths, 0);
    }

    /// Some worlds with this fault in the place of every other one; all of them hold.
    fn worlds(fault: fn(&mut StdRng) -> Deed) -> Report {
        let mut all = Report::default();
        for seed in 0..WORLDS {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut script = Script::new(seed, SIZE);
            for act in script.acts.iter_mut().filter(|act| !is_use(act)) {
                act.deed = fault(&mut rng);
            }
            match World::run(&script) {
                Ok(report) => {
                    all.deaths += report.deaths;
                    all.power_cuts += report.power_cuts;
                    all.refused += report.refused;
                    all.sent += report.sent;
                }
                Err(failure) => {
                    panic!("{failure}\n{}", serde_json::to_string(&script).expect("a script is data"))
                }
            }
        }
        assert!(all.sent >= WORLDS * SIZE.messages as u64, "{all:?}");
        all
    }

    /// What a user does, as opposed to what befalls one.
    fn is_use(act: &Act) -> bool {
        matches!(
            act.deed,
            Deed::Send { .. } | Deed::MarkRead { .. } | Deed::Type { .. } | Deed::Foreground(_)
        )
    }

    fn failing(failure: DiskFailure, rng: &mut StdRng) -> Deed {
        Deed::Disk { failure, operation: rng.random_range(1..40), back: a_while(rng) }
    }

    fn instant(rng: &mut StdRng) -> When {
        match rng.random_range(0..4) {
            0 => When::Idle,
            1 => When::Effects(rng.random_range(0..6)),
            _ => When::Operation(rng.random_range(1..40)),
        }
    }

    fn a_while(rng: &mut StdRng) -> u64 {
        let most = [10, 3_000, 40_000, 400_000][rng.random_range(0..4)];
        rng.random_range(0..=most)
    }
}
