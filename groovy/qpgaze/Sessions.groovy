package qpgaze

import groovy.transform.CompileStatic

/** How the gaze session fares, from the menu and from what recorders say of themselves. */
@CompileStatic
final class Sessions {

    /** Told after every change, on any thread. */
    interface Listener {
        void sessionChanged(String before, String now)
    }

    private final Listener listener
    /** idle, starting, recording, paused, stopping */
    private String state = "idle"
    private String text = ""
    private String session
    private String client

    Sessions(Listener listener) {
        this.listener = listener
    }

    synchronized String getState() {
        return state
    }

    synchronized String getText() {
        return text
    }

    synchronized String getSession() {
        return session
    }

    /** Whether gaze is written now: only then keys are labels. */
    synchronized boolean isRecording() {
        return state == "recording"
    }

    synchronized boolean isIdle() {
        return state == "idle"
    }

    void starting() {
        become("starting", "starting the recorder ...", null)
    }

    void stopping() {
        become("stopping", "stopping ...", null)
    }

    void failed() {
        become("idle", "", null)
    }

    /** A client's `status`; true where it is news. */
    boolean said(String from, Map<String, Object> status) {
        String now = (String) status.get("state")
        String words = (String) (status.get("text") ?: "")
        synchronized (this) {
            // One session at a time: another client's words do not touch it.
            if (client != null && client != from && state in ["recording", "paused"])
                return false
            if (status.get("session") instanceof String)
                session = (String) status.get("session")
        }
        if (now == "recording" || now == "paused") {
            become(state == "stopping" ? "stopping" : now, words, from)
        } else if (now == "ended") {
            become("idle", words, null)
        } else {
            synchronized (this) {
                text = words
            }
            listener.sessionChanged(getState(), getState())
        }
        return true
    }

    /** A client's connection ended; true where it was in the middle of a session. */
    boolean gone(String who) {
        synchronized (this) {
            if (client != who || !(state in ["recording", "paused"]))
                return false
        }
        become("idle", "", null)
        return true
    }

    private void become(String now, String words, String from) {
        String before
        synchronized (this) {
            before = state
            state = now
            text = words
            if (from != null)
                client = from
            if (now == "idle")
                client = null
        }
        listener.sessionChanged(before, now)
    }
}
