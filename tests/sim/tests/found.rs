//! Scripts that failed once, cut down, each by the name of what it found.

use sim::World;

macro_rules! found {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            let script = include_str!(concat!("../found/", stringify!($name), ".json"));
            let script = serde_json::from_str(script).expect("a script as it was printed");
            if let Err(failure) = World::run(&script) {
                panic!("{failure}");
            }
        })*
    };
}

found! {
    archive_that_forgot_between_two_gaps_begins_above_both,
    block_that_nobody_answered_is_looked_up_though_another_one_was_answered,
    blocklist_that_nobody_has_said_is_asked_for_by_the_next_process,
    carbon_that_overtook_an_offline_message_is_no_older_copy,
    carbons_and_archive_are_asked_for_again,
    carbons_that_were_mixed_up_are_put_in_order,
    card_that_nobody_answered_is_shown_where_old_software_looks,
    check_from_the_archives_beginning_comes_before_that_is_forgotten,
    check_goes_on_by_time_when_its_id_is_forgotten,
    check_of_what_the_archive_forgot_is_left_to_the_catch_up,
    check_that_failed_is_asked_again_behind_a_resumption,
    check_that_was_broken_off_knows_where_it_began,
    check_that_was_cut_off_goes_on_putting_in_order,
    check_that_would_begin_where_a_gap_begins_is_left_to_the_catch_up,
    contact_that_was_accepted_before_and_asks_is_listed_so,
    contact_that_was_accepted_before_and_is_removed_is_listed_so,
    correction_that_stood_alone_was_read_where_it_belongs,
    corrections_read_alone_before_their_originals,
    doubt_that_nobody_answered_is_asked_about_in_the_next_session,
    first_page_and_live_messages_keep_one_order,
    first_page_puts_a_resend_where_it_was_first,
    first_page_that_comes_before_carbons_leaves_something_to_check,
    first_page_that_comes_late_keeps_the_order,
    first_page_that_was_refused_is_waited_for,
    forgotten_id_is_made_up_for_by_the_archives_clock,
    gap_does_not_close_at_a_session_that_had_holes,
    gap_that_has_another_ones_number_is_read_to_its_end,
    hole_in_the_archive_moves_nothing,
    lists_are_compared_by_the_process_that_ends_what_another_began,
    message_that_was_sent_again_behind_a_stale_h_is_looked_for_where_it_was_first,
    message_that_was_sent_again_out_of_doubt_is_looked_for_where_it_was_first,
    message_whose_correction_was_deleted_alone_does_not_come_back,
    name_that_nobody_answered_is_said_again,
    network_that_comes_back_while_the_disk_is_full_is_not_forgotten,
    node_that_shifts_while_it_is_asked_page_by_page_is_asked_again,
    offline_message_that_comes_late_stands_in_order,
    older_page_asked_by_time_leaves_what_is_newer,
    older_page_behind_a_first_page_of_receipts_leaves_what_came_live,
    older_page_has_room_below_what_stands_close_together,
    older_page_moves_what_came_live_no_further_than_it_must,
    older_page_that_names_our_own_says_nothing_of_what_follows_them,
    older_pages_after_a_first_page_without_a_message_at_its_head,
    older_pages_asked_by_time_leave_what_is_newer_behind_receipts,
    older_pages_put_in_order_what_was_mixed_up,
    older_pages_stand_below_a_first_page_of_receipts,
    own_message_is_not_moved_before_those_the_page_does_not_name,
    own_message_that_comes_again_late_is_looked_for_where_it_was_first,
    own_message_with_a_late_ack_moves_alone,
    page_that_a_resumption_mixed_up_is_asked_again,
    page_that_is_cut_twice_loses_nothing,
    picture_that_is_taken_back_is_gone_though_the_session_went_over_it,
    picture_that_nobody_could_have_is_named_again_behind_its_data,
    read_mark_goes_down_with_its_message_past_what_nobody_read,
    resend_archived_twice_stands_where_it_was_first,
    result_behind_the_end_of_its_page_comes_again,
    rival_is_not_looked_for_before_the_archive_was_read,
    second_copy_in_a_gap_moves_nothing,
    session_that_ended_over_two_pages_is_asked_for_smaller_ones,
    two_devices_that_disagree_about_order_do_not_fight_over_what_was_read,
    what_a_check_finds_mixed_up_is_put_in_order_across_pages,
    what_a_stranger_said_before_the_roster_came_keeps_its_place_in_the_archive,
    what_another_device_had_read_turns_out_to_be_less_when_it_comes,
    what_another_device_sent_stays_before_what_it_sent_next_though_the_archive_forgot_it,
    what_came_live_stays_below_a_gap_that_begins_with_the_archive,
    what_follows_a_forgotten_beginning_stands_above_what_was_known,
    what_is_in_doubt_stays_where_it_was_sent,
    what_moves_below_what_was_read_is_not_unread,
    what_no_page_of_a_gap_has_named_follows_what_they_named,
    what_nobody_answered_for_hours_is_told_the_same_day,
    what_other_devices_sent_before_carbons_is_found,
    what_other_devices_sent_before_carbons_is_found_behind_a_filled_gap,
    what_stands_below_a_gap_is_not_beyond_it,
    what_was_dropped_at_the_archives_beginning_moves_nothing_that_is_known,
    what_was_on_its_way_when_it_was_read_on_is_told_again,
    what_was_read_and_moves_above_what_was_read_last_stays_read,
    what_was_read_and_moves_is_not_unread,
    what_was_read_before_it_had_a_name_is_told_once_it_has,
    what_was_read_elsewhere_is_asked_when_more_than_a_page_was_missing,
    what_was_read_is_told_by_the_first_of_its_names,
    what_was_read_last_and_moves_takes_the_read_mark_along,
}
