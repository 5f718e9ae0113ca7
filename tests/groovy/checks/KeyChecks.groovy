package checks

import qpgaze.KeyLogic
import qpgaze.Settings

/** What a labelling key means. */
class KeyChecks {

    private final KeyLogic logic = new KeyLogic(["Pearl", "Tumor"], Settings.KEYS)

    private static Map data(KeyLogic.Answer answer) {
        return answer?.data
    }

    void "a digit chooses its class and marks it"() {
        assert logic.current == "Pearl"
        assert data(logic.pressed("DIGIT2")) == [event: "mark", class: "Tumor"]
        assert logic.current == "Tumor"
        assert data(logic.pressed("NUMPAD1")) == [event: "mark", class: "Pearl"]
        assert logic.pressed("DIGIT1").text.contains("Pearl")
    }

    void "a digit without a class is QuPath's own"() {
        for (name in ["DIGIT3", "DIGIT0", "NUMPAD9", "NUMPAD0", "DIGIT", "Q", "F1", "SPACE"]) {
            assert !logic.takes(name): name
            assert logic.pressed(name) == null: name
        }
        for (name in ["DIGIT1", "DIGIT2", "NUMPAD2", "X", "T", "U"])
            assert logic.takes(name): name
    }

    void "never more than nine classes"() {
        def many = new KeyLogic((1..12).collect { "C${it}".toString() }, Settings.KEYS)
        assert data(many.pressed("DIGIT9")).class == "C9"
        assert many.classes.size() == 9
        assert !many.takes("DIGIT0")
    }

    void "without classes no key labels anything"() {
        def none = new KeyLogic([], Settings.KEYS)
        assert none.current == null && none.classes == []
        for (name in ["DIGIT1", "X", "T"])
            assert none.pressed(name) == null: name
        none.configure(["Pearl"], Settings.KEYS)
        assert none.current == "Pearl" && data(none.pressed("DIGIT1")).class == "Pearl"
    }

    void "a held key says when it went down and came up"() {
        logic.pick("Tumor")
        assert data(logic.pressed("X")) == [event: "hold", class: "Tumor", down: true]
        assert logic.holding
        assert logic.pressed("X") == null
        assert data(logic.pressed("DIGIT1")).class == "Pearl"
        assert data(logic.released("X")) == [event: "hold", class: "Tumor", down: false]
        assert !logic.holding
        assert logic.released("X") == null
        assert logic.released("DIGIT1") == null
    }

    void "a toggle begins and ends the same class"() {
        assert data(logic.pressed("T")) == [event: "toggle", class: "Pearl", down: true]
        logic.pick("Tumor")
        assert logic.toggled
        assert data(logic.pressed("T")) == [event: "toggle", class: "Pearl", down: false]
        assert !logic.toggled
    }

    void "undo says undo"() {
        assert data(logic.pressed("U")) == [event: "undo"]
    }

    void "a window that lost the keyboard ends what is held and a stop what is toggled too"() {
        logic.pressed("X")
        logic.pressed("T")
        assert logic.interrupted(false)*.data*.event == ["hold"]
        assert logic.toggled
        assert logic.interrupted(true)*.data.collect { [it.event, it.down] } == [["toggle", false]]
        assert logic.interrupted(true) == []
    }

    void "keys can be others"() {
        logic.configure(["A"], [hold: "H", toggle: "F2", undo: "BACK_SPACE"])
        assert logic.current == "A"
        assert logic.takes("F2") && !logic.takes("X")
        assert data(logic.pressed("H")) == [event: "hold", class: "A", down: true]
        assert data(logic.pressed("BACK_SPACE")) == [event: "undo"]
    }

    void "without classes no key marks anything"() {
        def none = new KeyLogic([], Settings.KEYS)
        assert none.current == null
        for (name in ["DIGIT1", "X", "T"])
            assert none.pressed(name) == null
    }

    void "a class chosen before is kept where it still is one"() {
        logic.pick("Tumor")
        logic.configure(["Other", "Tumor"], Settings.KEYS)
        assert logic.current == "Tumor"
        logic.configure(["Other"], Settings.KEYS)
        assert logic.current == "Other"
    }
}
