package qpgaze

/** What the hook does about the requests of its clients; every call may come from any thread. */
interface WireHandler {

    /** The present state of every viewer: the keyframe of a new subscriber. */
    List<Map<String, Object>> states()

    /** Which images are open. */
    List<Map<String, Object>> images()

    /** Read a part of change_objects when it comes: what is kept of it for the whole; a WireFault if not. */
    Map<String, Object> part(Map<String, Object> message)

    /** Do objects, change_objects or save, and return what the answer says; a WireFault if not. */
    Map<String, Object> request(Map<String, Object> message)

    /** Show gaze, labels or a client's status; nothing is answered. */
    void note(Map<String, Object> message, String client)

    /** Somebody came, left, or watches other things. */
    void clientsChanged()

    /** A client is gone; named and numbered as in the notes. */
    void clientGone(String client, boolean saidBye)
}
