package checks

import qpgaze.LabelReport

/** What a person is told, and asked, when a session's labels are in. */
class LabelReportChecks {

    private static final String NOBODY = "Image 1 ('slide.svs') is open in QuPath with changes that nobody saved: " +
        "the change shows there and is not on the disk until it is saved (File > Save); --save-open saves both."

    private static Map image(String entry, Map more = [:]) {
        return [entry: entry, name: "slide-${entry}.svs".toString(), added: 2, put_back: 0, missing: []] + more
    }

    private static Map open(String entry, boolean changed = true) {
        return [key: "k${entry}".toString(), changed: changed,
                image: [entry_id: entry, name: "slide-${entry}.svs".toString()]]
    }

    private static LabelReport report(List<Map> images, List<Map> open, List<String> notes = []) {
        return new LabelReport([labels: 2, images: images, notes: notes], open)
    }

    void "an image whose window got the labels is offered to be saved, once it has something to save"() {
        def one = report([image("1", [way: "window"])], [open("1"), open("2")])
        assert one.toSave()*.key == ["k1"]
        assert one.toReload() == [] && one.reloading() == ""
        assert report([image("1", [way: "window"])], [open("1", false)]).toSave() == []
        // Put in before, and never saved: by a first try that then failed.
        assert report([image("1", [way: "window", added: 0])], [open("1")]).toSave()*.key == ["k1"]
    }

    void "an open image whose file got the labels is never offered to be saved"() {
        for (changed in [true, false]) {
            def one = report([image("1", [way: "file"]), image("2", [way: "window"])], [open("1", changed), open("2")])
            assert one.toSave()*.key == ["k2"]
            assert one.toReload()*.key == ["k1"]
            assert one.reloading().contains("slide-1.svs is open") && one.reloading().contains("File > Reload data")
            assert one.reloading().contains("put them back") == changed
        }
        // A program that does not say which way: what is written may be lost, what is reloaded is not.
        def untold = report([image("1")], [open("1")])
        assert untold.toSave() == [] && untold.toReload()*.key == ["k1"]
        assert report([image("1", [way: "file"])], []).reloading() == ""
    }

    void "a note of an image that is asked about is left out, one of another image is not"() {
        def one = report([image("1", [way: "window"])], [open("1")], [NOBODY, NOBODY.replace("Image 1", "Image 2"),
            "Image 3 ('c') may be open in QuPath: process 7 holds it. Or bring it in: 'qpgaze project export P O.geojson " +
            "--image 3', then drag it.", "One degree was taken."])
        def lines = one.notes().readLines()
        assert lines == ["Image 2 ('slide.svs') is open in QuPath with changes that nobody saved: the change shows " +
            "there and is not on the disk until it is saved (File > Save).",
            "Image 3 ('c') may be open in QuPath: process 7 holds it.", "One degree was taken."]
        assert !one.notes().contains("--")
        assert report([], [], ["Give --fixations."]).notes() == ""
        assert report([], [], ["The session was not closed: the recording was cut, or is still going on."]).notes() == ""
    }

    void "a write of which only the account failed is no failure of the labels"() {
        assert LabelReport.isUnrecorded("The ledger x cannot be written: No space left on device. The objects " +
            "themselves are in the project and will be recognised.")
        assert !LabelReport.isUnrecorded("The project x may not be written.")
    }

    void "an image that this QuPath saved itself and has not open is no other program's"() {
        def note = "Image 3 ('c') may be open in QuPath: another program saved its data 2 min ago. Close it."
        def report = [labels: 1, images: [], notes: [note]]
        assert new LabelReport(report, [], ["3"] as Set).notes() == ""
        assert new LabelReport(report, [], ["33"] as Set).notes() == note
        assert new LabelReport(report, []).notes() == note
    }

    void "what names an option is left out, unless there is nothing else to say"() {
        assert LabelReport.plain("No label.\n  --fixations draws where it was.") == "No label."
        assert LabelReport.plain("A dash -- like this -- stays.") == "A dash -- like this -- stays."
        assert LabelReport.plain("Give --image NAME.") == "Give --image NAME."
    }

    void "what a verb does is named as the menu names it"() {
        assert LabelReport.plain("Not known. Run 'qpgaze validate-gaze': it asks.") ==
            "Not known. Choose 'Measure accuracy': it asks."
        assert LabelReport.plain("Then run 'qpgaze validate-gaze --source gazepoint'.") ==
            "Then choose 'Measure accuracy'."
        assert LabelReport.plain("Choose it again with 'qpgaze validate-gaze --monitor ask', or give --scale.") ==
            "Choose it again with 'Monitor of the eye tracker'."
        assert LabelReport.plain("Calibrate with 'qpgaze calibrate' (or its own program).") ==
            "Calibrate with 'Calibrate the eye tracker' (or its own program)."
    }

    void "labels are counted over all images"() {
        def one = report([image("1"), image("2", [added: 0, put_back: 1, missing: ["a", "b"]])], [])
        assert one.fresh == 3 && one.missing == 2
        assert one.words().startsWith("3 labels are in slide-1.svs, slide-2.svs as 'proposed'")
        assert report([image("1", [added: 0])], []).words() == "The labels of the session were put in before."
    }
}
