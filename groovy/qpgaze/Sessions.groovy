package qpgaze

import groovy.transform.CompileStatic

/**
 * How the gaze session fares, from the menu and from what recorders say of themselves.
 *
 * idle, starting, recording, paused, lost (its recorder is gone in the middle), stopping, labelling
 * (its labels are put into the images).
 */
@CompileStatic
final class Sessions {

    /** Told after every change, on any thread. */
    interface Listener {
        void sessionChanged(String before, String now)
    }

    private static final Set<String> RUNNING = ["recording", "paused"] as Set<String>

    private final Listener listener
    private String state = "idle"
    private String text = ""
    private String session
    private String folder
    private String client
    private String waiting

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

    /** Where the session lies, as its recorder says; null where it did not. */
    synchronized String getFolder() {
        return folder
    }

    /** The client that said it is ready and waits for the menu's start; null where none is. */
    synchronized String getWaiting() {
        return waiting
    }

    /** Whether gaze is written now: only then keys are labels. */
    synchronized boolean isRecording() {
        return state == "recording"
    }

    synchronized boolean isIdle() {
        return state == "idle"
    }

    void starting() {
        synchronized (this) {
            session = null
            folder = null
        }
        become("starting", "starting the recorder ...", null)
    }

    void stopping() {
        become("stopping", "stopping ...", null)
    }

    void labelling() {
        become("labelling", "putting the labels into the images ...", null)
    }

    void failed() {
        become("idle", "", null)
    }

    /** Have everybody look again: what hangs on more than the state has changed. */
    void refresh() {
        listener.sessionChanged(getState(), getState())
    }

    /** A client's `status`; true where it is news. */
    boolean said(String from, Map<String, Object> status) {
        String now = (String) status.get("state")
        String words = (String) (status.get("text") ?: "")
        Object named = status.get("session")
        synchronized (this) {
            // One session at a time: another client's words do not touch it. The same session's are
            // believed: its recorder is back before we saw that it was gone.
            if (client != null && client != from && RUNNING.contains(state) && (named == null || named != session))
                return false
            if (named instanceof String) {
                if (named != session)
                    folder = null
                session = (String) named
            }
            if (status.get("session_folder") instanceof String)
                folder = (String) status.get("session_folder")
        }
        synchronized (this) {
            waiting = now == "ready" ? from : waiting == from ? null : waiting
        }
        if (RUNNING.contains(now)) {
            become(getState() == "stopping" ? "stopping" : now, words, from)
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
        boolean known
        synchronized (this) {
            if (waiting == who)
                waiting = null
            if (client != who || !RUNNING.contains(state))
                return false
            known = folder != null
        }
        become(known ? "lost" : "idle", known ? "the recorder is gone" : "", null)
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
            if (now == "idle" || now == "lost" || now == "starting")
                client = null
        }
        listener.sessionChanged(before, now)
    }
}
