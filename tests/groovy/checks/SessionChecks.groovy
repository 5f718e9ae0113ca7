package checks

import qpgaze.Sessions

/** How the gaze session fares, from what is said of it. */
class SessionChecks {

    private final List told = []
    private final Sessions sessions = new Sessions({ String before, String now -> told << [before, now] } as Sessions.Listener)

    private boolean say(String state, String from = "recorder 1", String session = null) {
        return sessions.said(from, [type: "status", state: state, text: "120 Hz", session: session])
    }

    void "a session begins, pauses, goes on and ends"() {
        assert sessions.idle
        sessions.starting()
        assert say("recording", "recorder 1", "2026")
        assert sessions.recording && sessions.text == "120 Hz" && sessions.session == "2026"
        say("paused")
        assert !sessions.recording && !sessions.idle
        say("recording")
        sessions.stopping()
        say("recording")
        assert sessions.state == "stopping"
        say("ended")
        assert sessions.idle
        assert told.collect { it[1] } ==
            ["starting", "recording", "paused", "recording", "stopping", "stopping", "idle"]
    }

    void "another client's words do not touch a session"() {
        say("recording", "recorder 1")
        assert !say("ended", "recorder 2")
        assert sessions.recording
        assert !sessions.gone("recorder 2")
        assert sessions.recording
    }

    void "a recorder that is gone in the middle ends the session and is told"() {
        say("recording")
        assert sessions.gone("recorder 1")
        assert sessions.idle
        assert !sessions.gone("recorder 1")
    }

    void "a recorder that leaves after its end is no trouble"() {
        say("recording")
        say("ended")
        assert !sessions.gone("recorder 1")
        say("recording", "recorder 2")
        assert sessions.recording
    }

    void "trouble is shown and ends nothing"() {
        say("recording")
        say("trouble")
        assert sessions.recording
        sessions.failed()
        assert sessions.idle
    }
}
