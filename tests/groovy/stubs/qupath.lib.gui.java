package qupath.lib.gui;

import java.awt.image.BufferedImage;
import java.io.File;
import java.util.List;
import java.util.Map;
import javafx.collections.ObservableList;
import javafx.scene.control.Menu;
import javafx.stage.Stage;
import qupath.lib.common.Version;
import qupath.lib.gui.viewer.QuPathViewer;
import qupath.lib.objects.classes.PathClass;
import qupath.lib.projects.Project;

public class QuPathGUI {
    private QuPathGUI() {}
    public static native QuPathGUI getInstance();
    public static native Version getVersion();
    public static native String getBuildString();
    public native Stage getStage();
    public native QuPathViewer getViewer();
    public native Project<BufferedImage> getProject();
    public native ObservableList<PathClass> getAvailablePathClasses();
    public native Menu getMenu(String name, boolean create);
    public native Object runScript(File file, String script) throws javax.script.ScriptException;
}
