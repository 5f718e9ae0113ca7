// A site's start-up script for the tests: opens the first image, then runs on the JavaFX thread
// every NAME.groovy that appears in the folder -Dqpgaze.probe and writes NAME.out.
import javafx.application.Platform
import qupath.lib.gui.QuPathGUI

def gui = QuPathGUI.getInstance()
def folder = new File(System.getProperty("qpgaze.probe"))
def stage = gui.getStage()
stage.setMaximized(false)
stage.setX(0)
stage.setY(0)
stage.setWidth(1200)
stage.setHeight(800)
def open = { gui.openImageEntry(gui.getProject().getImageList()[0]) }
boolean now = gui.getProject() != null
if (now)
    open()
def thread = new Thread({
    // QuPath 0.4 runs its script before it opens the project.
    while (!now && gui.getProject() == null)
        sleep(50)
    if (!now)
        Platform.runLater { open() }
    def shell = new GroovyShell(QuPathGUI.classLoader)
    while (true) {
        for (file in folder.listFiles().findAll { it.name.endsWith(".groovy") }.sort()) {
            def text = file.getText("UTF-8")
            file.delete()
            def answer = new java.util.concurrent.FutureTask({
                try {
                    def script = shell.parse(text)
                    script.getBinding().setVariable("gui", gui)
                    script.getBinding().setVariable("viewer", gui.getViewer())
                    return String.valueOf(script.run())
                } catch (Throwable e) {
                    return "ERROR " + e
                }
            } as java.util.concurrent.Callable)
            Platform.runLater(answer)
            def out = new File(folder, file.name.replace(".groovy", ".part"))
            out.setText(answer.get(), "UTF-8")
            out.renameTo(new File(folder, file.name.replace(".groovy", ".out")))
        }
        sleep(20)
    }
})
thread.setDaemon(true)
thread.start()
